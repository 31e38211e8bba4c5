# Task definitions: one for runs, one for each service. Former revisions are kept: a deployment that ECS rolls back
# goes on with them, and its daemon starts runs with the revision that its environment names. A revision that is no
# longer ACTIVE starts no task (docs/adr/0024).

resource "aws_ecs_task_definition" "run" {
  family                   = var.run_task_family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  task_role_arn            = var.role_arns["run"]
  execution_role_arn       = var.role_arns["execution"]
  skip_destroy             = var.keep_task_definitions
  tags                     = var.tags

  # A control run's size (run_resources of infra/dagster/dagster.yaml). Dagster's launcher asks for its size
  # at each launch, a transfer for one out of ECS_TASK_SIZES.
  cpu    = 512
  memory = 1024

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([merge(local.base, {
    name = "run" # container_name of infra/dagster/dagster.yaml
    # The launcher puts its own in the place of this.
    command     = ["dagster", "--version"]
    environment = [for key in sort(keys(local.run_environment)) : { name = key, value = local.run_environment[key] }]
    # A transfer takes up to 20 s to finish the bottles under way and writes its receipts after that. This is
    # the most that Fargate has, and what a task on Spot is left with.
    stopTimeout            = 120
    portMappings           = []
    readonlyRootFilesystem = local.read_only.run
    mountPoints = concat(
      local.read_only.run ? [local.tmp_mount] : [],
      var.efs == null ? [] : [{ sourceVolume = "scratch", containerPath = local.scratch, readOnly = false }],
    )
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_names["run"]
        awslogs-region        = var.region
        awslogs-stream-prefix = "run"
      }
    }
  })])

  dynamic "volume" {
    for_each = local.read_only.run ? ["tmp"] : []
    content {
      name = volume.value
    }
  }

  dynamic "volume" {
    for_each = var.efs == null ? [] : [var.efs]
    content {
      name = "scratch"
      efs_volume_configuration {
        file_system_id     = volume.value.file_system_id
        transit_encryption = "ENABLED"
        authorization_config {
          access_point_id = volume.value.access_point_id
          iam             = "ENABLED"
        }
      }
    }
  }
}

resource "aws_ecs_task_definition" "service" {
  for_each = local.services

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.service_sizes[each.key].cpu
  memory                   = var.service_sizes[each.key].memory
  task_role_arn            = var.role_arns[each.key]
  execution_role_arn       = var.role_arns["execution"]
  skip_destroy             = var.keep_task_definitions
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([merge(local.base, {
    name                   = each.key
    command                = each.value.command
    environment            = [for key in sort(keys(local.service_environment)) : { name = key, value = local.service_environment[key] }]
    stopTimeout            = 60
    portMappings           = each.value.ports
    readonlyRootFilesystem = local.read_only[each.key]
    mountPoints            = local.read_only[each.key] ? [local.tmp_mount] : []
    healthCheck = {
      command = local.health_commands[each.key]
      # Each look starts a Python of its own: not too often, and it may take its time.
      interval    = 60
      timeout     = 30
      retries     = 5
      startPeriod = 180
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_names[each.key]
        awslogs-region        = var.region
        awslogs-stream-prefix = each.key
      }
    }
  })])

  dynamic "volume" {
    for_each = local.read_only[each.key] ? ["tmp"] : []
    content {
      name = volume.value
    }
  }
}
