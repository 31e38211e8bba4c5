# Applied with mocks: services name the revision of the runs' task definition.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "mirror-test"
  region             = "us-west-2"
  cluster_name       = "mirror-test"
  namespace_id       = "ns-0123456789abcdef"
  namespace_name     = "mirror-test.internal"
  subnet_ids         = ["subnet-0123456789abcdef0"]
  security_group_ids = { webserver = "sg-01", daemon = "sg-02", code = "sg-03" }
  image              = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mirror:0.1.0"
  run_task_family    = "mirror-test-run"
  role_arns = {
    webserver = "arn:aws:iam::123456789012:role/webserver"
    daemon    = "arn:aws:iam::123456789012:role/daemon"
    code      = "arn:aws:iam::123456789012:role/code"
    run       = "arn:aws:iam::123456789012:role/run"
    execution = "arn:aws:iam::123456789012:role/execution"
  }
  log_group_names = { webserver = "/webserver", daemon = "/daemon", code = "/code", run = "/run" }
  settings        = { AWS_REGION = "us-west-2", S3_BUCKET_NAME = "bottles", SLACK_CHANNEL = "" }
  database = {
    host       = "db.example"
    port       = 5432
    name       = "dagster"
    username   = "dagster"
    secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds-AbCdEf"
  }
  compute_logs_bucket = "bottles"
}

run "services_and_runs" {
  assert {
    condition     = aws_ecs_service.daemon.desired_count == 1 && aws_ecs_service.daemon.deployment_maximum_percent == 100 && aws_ecs_service.daemon.deployment_minimum_healthy_percent == 0
    error_message = "The daemon is one, never two."
  }

  assert {
    condition = alltrue([for service in [aws_ecs_service.webserver, aws_ecs_service.daemon, aws_ecs_service.code] :
      service.launch_type == "FARGATE" && !service.network_configuration[0].assign_public_ip && startswith(service.name, "mirror-test-")
    ])
    error_message = "Services name their launch type, have no public address, and the prefix."
  }

  assert {
    condition     = length(aws_ecs_service.webserver.load_balancer) == 0 && aws_ecs_service.webserver.enable_execute_command
    error_message = "The webserver is reached by SSM only."
  }

  assert {
    condition = jsondecode(aws_ecs_task_definition.run.container_definitions)[0].name == "run" && jsondecode(
      aws_ecs_task_definition.run.container_definitions
    )[0].stopTimeout == 120
    error_message = "The launcher's container is called run, and it has time to finish bottles."
  }

  assert {
    condition = alltrue([for definition in concat([aws_ecs_task_definition.run], values(aws_ecs_task_definition.service)) :
      jsondecode(definition.container_definitions)[0].linuxParameters.initProcessEnabled &&
      jsondecode(definition.container_definitions)[0].secrets == [{
        name      = "DAGSTER_POSTGRES_PASSWORD"
        valueFrom = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds-AbCdEf:password::"
      }]
    ])
    error_message = "Every container has an init process, and the password as a secret."
  }

  assert {
    condition = alltrue([for service, definition in aws_ecs_task_definition.service :
      jsondecode(definition.container_definitions)[0].readonlyRootFilesystem == (service != "webserver")
    ])
    error_message = "Only the webserver's root is writable, for SSM."
  }

  assert {
    condition     = output.environment["ECS_TASK_DEFINITION"] == "mirror-test-run" && !contains(keys(output.environment), "SLACK_CHANNEL") && !contains(keys(output.environment), "TMPDIR")
    error_message = "Runs name the family; empty variables are left out."
  }

  assert {
    condition     = output.environment["DAGSTER_CODE_SERVER_HOST"] == "code.mirror-test.internal" && aws_service_discovery_service.code.name == "code"
    error_message = "The code server's name must be the one that webserver and daemon look for."
  }

  assert {
    condition     = contains([for pair in jsondecode(aws_ecs_task_definition.service["daemon"].container_definitions)[0].environment : pair.value if pair.name == "ECS_TASK_DEFINITION"], aws_ecs_task_definition.run.arn)
    error_message = "A new revision of the runs' definition must start the daemon anew."
  }

  assert {
    condition     = alltrue([for definition in concat([aws_ecs_task_definition.run], values(aws_ecs_task_definition.service)) : definition.skip_destroy])
    error_message = "A daemon that is rolled back needs the revisions of before."
  }

  assert {
    condition     = length(aws_appautoscaling_target.this) == 0
    error_message = "Scaling is off unless asked for."
  }
}

run "scaled_with_scratch" {
  variables {
    enable_autoscaling        = true
    enable_execute_command    = false
    read_only_root_filesystem = false
    efs                       = { file_system_id = "fs-0123456789abcdef0", access_point_id = "fsap-0123456789abcdef0" }
  }

  assert {
    condition     = toset(keys(aws_appautoscaling_target.this)) == toset(["webserver", "code"])
    error_message = "The daemon must not be scaled."
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.service["code"].container_definitions)[0].command, "--fixed-server-id")
    error_message = "Several code servers must look like one."
  }

  assert {
    condition     = output.environment["TMPDIR"] == "/mnt/efs" && one(aws_ecs_task_definition.run.volume).efs_volume_configuration[0].transit_encryption == "ENABLED"
    error_message = "Runs mount the scratch, encrypted on the way."
  }
}

run "secret_among_settings" {
  command         = plan
  expect_failures = [var.settings]
  variables {
    settings = { SLACK_WEBHOOK_URL = "https://hooks.slack.example/x" }
  }
}

run "odd_size" {
  command         = plan
  expect_failures = [var.service_sizes]
  variables {
    service_sizes = {
      webserver = { cpu = 256, memory = 4096 }
      daemon    = { cpu = 512, memory = 1024 }
      code      = { cpu = 512, memory = 1024 }
    }
  }
}
