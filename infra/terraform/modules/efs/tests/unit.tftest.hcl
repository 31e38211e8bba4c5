mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name              = "mirror-test"
  subnet_ids        = ["subnet-1", "subnet-2"]
  security_group_id = "sg-1"
  tags              = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = aws_efs_file_system.this.encrypted && aws_efs_file_system.this.throughput_mode == "elastic" && aws_efs_file_system.this.creation_token == "mirror-test-efs"
    error_message = "The file system must be encrypted, and paid for by use."
  }

  assert {
    condition     = length(aws_efs_mount_target.this) == 2
    error_message = "Each subnet must have a mount target."
  }

  assert {
    condition     = aws_efs_access_point.this.posix_user[0].uid == 65534 && aws_efs_access_point.this.root_directory[0].path == "/mirror-test"
    error_message = "Tasks must act as the user of the image, in a folder of their own."
  }

  assert {
    condition     = jsondecode(aws_efs_file_system_policy.this[0].policy).Statement[0].Effect == "Deny" && length(jsondecode(aws_efs_file_system_policy.this[0].policy).Statement) == 1
    error_message = "The policy must refuse only."
  }

  assert {
    condition     = length(aws_efs_backup_policy.this) == 0 && aws_efs_file_system.this.tags["Team"] == "test" && aws_efs_access_point.this.tags["Team"] == "test"
    error_message = "Backups must be off, tags on."
  }
}

run "flags_the_other_way" {
  command = apply

  variables {
    enforce_tls            = false
    enable_backup          = true
    throughput_mode        = "provisioned"
    provisioned_throughput = 100
    transition_to_ia       = ""
  }

  assert {
    condition     = length(aws_efs_file_system_policy.this) == 0 && aws_efs_backup_policy.this[0].backup_policy[0].status == "ENABLED"
    error_message = "No policy, but backups."
  }

  assert {
    condition     = aws_efs_file_system.this.provisioned_throughput_in_mibps == 100 && length(aws_efs_file_system.this.lifecycle_policy) == 0
    error_message = "The throughput must be what was asked for."
  }
}

run "provisioned_without_figure" {
  command = plan

  variables {
    provisioned_throughput = null
    throughput_mode        = "provisioned"
  }

  expect_failures = [var.provisioned_throughput]
}

run "throughput_for_a_fortune" {
  command = plan

  variables {
    provisioned_throughput = 3000
  }

  expect_failures = [var.provisioned_throughput]
}

run "mode_misspelt" {
  command = plan

  variables {
    performance_mode = "general"
  }

  expect_failures = [var.performance_mode]
}

run "elastic_with_max_io" {
  command = plan

  variables {
    throughput_mode  = "elastic"
    performance_mode = "maxIO"
  }

  expect_failures = [var.throughput_mode]
}

run "root_as_user" {
  command = plan

  variables {
    posix_id = 0
  }

  expect_failures = [var.posix_id]
}

run "no_subnets" {
  command = plan

  variables {
    subnet_ids = []
  }

  expect_failures = [var.subnet_ids]
}

run "odd_transition" {
  command = plan

  variables {
    transition_to_ia = "AFTER_2_DAYS"
  }

  expect_failures = [var.transition_to_ia]
}
