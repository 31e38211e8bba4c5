mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name              = "mirror-test"
  subnet_ids        = ["subnet-1", "subnet-2"]
  security_group_id = "sg-1"
  kms_key_arn       = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  tags              = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = output.identifier == "mirror-test-database" && output.port == 5432 && output.endpoint == "test.abcdefghijkl.us-west-2.rds.amazonaws.com" && output.database_name == "dagster" && output.username == "dagster"
    error_message = "Outputs must be those of the instance."
  }

  assert {
    condition     = aws_db_instance.this[0].manage_master_user_password && startswith(output.secret_arn, "arn:aws:secretsmanager:")
    error_message = "RDS must keep the password."
  }

  assert {
    condition     = aws_db_instance.this[0].storage_encrypted && !aws_db_instance.this[0].publicly_accessible && aws_db_instance.this[0].deletion_protection && !aws_db_instance.this[0].skip_final_snapshot && aws_db_instance.this[0].final_snapshot_identifier == "mirror-test-database-final"
    error_message = "The database must be encrypted, private and hard to lose."
  }

  assert {
    condition     = one([for p in aws_db_parameter_group.this[0].parameter : p.value if p.name == "rds.force_ssl"]) == "1" && aws_db_parameter_group.this[0].name == "mirror-test-database-postgres17"
    error_message = "Connections without TLS must be refused."
  }

  assert {
    condition     = toset(output.log_group_names) == toset(["/aws/rds/instance/mirror-test-database/postgresql", "/aws/rds/instance/mirror-test-database/upgrade"])
    error_message = "Log groups must be made before RDS makes them."
  }

  assert {
    condition     = length(aws_rds_cluster.this) == 0 && length(aws_iam_role.monitoring) == 0 && length(aws_secretsmanager_secret_rotation.this) == 0
    error_message = "Aurora, enhanced monitoring and a schedule of its own must be off."
  }

  assert {
    condition     = aws_db_instance.this[0].tags["Team"] == "test" && aws_db_subnet_group.this.tags["Team"] == "test"
    error_message = "Tags must be everywhere."
  }
}

run "flags_the_other_way" {
  command = apply

  variables {
    multi_az                    = true
    enable_performance_insights = true
    deletion_protection         = false
    skip_final_snapshot         = true
    monitoring_interval         = 60
    password_rotation_days      = 90
    enable_log_export           = false
  }

  assert {
    condition     = aws_db_instance.this[0].multi_az && aws_db_instance.this[0].performance_insights_enabled && !aws_db_instance.this[0].deletion_protection && aws_db_instance.this[0].final_snapshot_identifier == null
    error_message = "Flags must reach the instance."
  }

  assert {
    condition     = aws_iam_role.monitoring[0].name == "mirror-test-database-monitoring" && alltrue(flatten([for s in jsondecode(aws_iam_role_policy.monitoring[0].policy).Statement : [for r in flatten([s.Resource]) : startswith(r, "arn:aws:logs:us-west-2:123456789012:log-group:RDSOSMetrics")]]))
    error_message = "Enhanced monitoring must have a role for its log group alone."
  }

  assert {
    condition     = aws_secretsmanager_secret_rotation.this[0].rotation_rules[0].automatically_after_days == 90 && !aws_secretsmanager_secret_rotation.this[0].rotate_immediately
    error_message = "The password must change every 90 days, not at once."
  }

  assert {
    condition     = length(output.log_group_names) == 0
    error_message = "No log must be sent."
  }
}

run "aurora" {
  command = apply

  variables {
    engine         = "aurora-postgresql"
    instance_class = "db.serverless"
    multi_az       = true
  }

  assert {
    condition     = length(aws_db_instance.this) == 0 && length(aws_rds_cluster_instance.this) == 2 && output.endpoint == "test.cluster-abcdefghijkl.us-west-2.rds.amazonaws.com"
    error_message = "There must be a cluster of two."
  }

  assert {
    condition     = aws_rds_cluster.this[0].storage_encrypted && aws_rds_cluster.this[0].manage_master_user_password && aws_rds_cluster.this[0].deletion_protection && aws_rds_cluster.this[0].serverlessv2_scaling_configuration[0].max_capacity == 2
    error_message = "The cluster must be as safe as the instance."
  }

  assert {
    condition     = aws_rds_cluster_parameter_group.this[0].family == "aurora-postgresql17" && startswith(output.secret_arn, "arn:aws:secretsmanager:")
    error_message = "Parameters and secret must be the cluster's."
  }
}

run "another_engine" {
  command = plan

  variables {
    engine = "mysql"
  }

  expect_failures = [var.engine]
}

run "exact_version" {
  command = plan

  variables {
    engine_version = "17.2"
  }

  expect_failures = [var.engine_version]
}

run "serverless_without_aurora" {
  command = plan

  variables {
    instance_class = "db.serverless"
  }

  expect_failures = [var.instance_class]
}

run "micro_with_aurora" {
  command = plan

  variables {
    instance_class = "db.t4g.micro"
    engine         = "aurora-postgresql"
  }

  expect_failures = [var.instance_class]
}

run "storage_too_small" {
  command = plan

  variables {
    allocated_storage = 5
  }

  expect_failures = [var.allocated_storage]
}

run "growth_below_start" {
  command = plan

  variables {
    max_allocated_storage = 20
  }

  expect_failures = [var.max_allocated_storage]
}

run "no_backups" {
  command = plan

  variables {
    backup_retention_days = 0
  }

  expect_failures = [var.backup_retention_days]
}

run "one_subnet" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.subnet_ids]
}

run "reserved_username" {
  command = plan

  variables {
    username = "postgres"
  }

  expect_failures = [var.username]
}

run "odd_interval" {
  command = plan

  variables {
    monitoring_interval = 20
  }

  expect_failures = [var.monitoring_interval]
}

run "costly_capacity" {
  command = plan

  variables {
    serverless_capacity = { min = 0.5, max = 64 }
  }

  expect_failures = [var.serverless_capacity]
}

run "odd_window" {
  command = plan

  variables {
    backup_window = "night"
  }

  expect_failures = [var.backup_window]
}

run "odd_retention" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "rotation_never" {
  command = plan

  variables {
    password_rotation_days = 0
  }

  expect_failures = [var.password_rotation_days]
}
