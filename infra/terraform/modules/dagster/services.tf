# Three services rather than one task with three containers: the daemon must be one, the others need not.
# All name their launch type: under a capacity provider strategy Dagster's launcher does not find it
# (dagster_aws/ecs/tasks.py, get_task_kwargs_from_current_task).

resource "aws_service_discovery_service" "code" {
  name        = "code"
  description = "Dagster's code server"
  tags        = var.tags

  dns_config {
    namespace_id   = var.namespace_id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }

  # ECS tells how the container is; a task that is not well is not answered with.
  health_check_custom_config {
    failure_threshold = 1
  }

  # A task that is gone leaves its record here; it must not keep the service from being destroyed.
  force_destroy = true
}

resource "aws_ecs_service" "webserver" {
  name            = "${var.name}-webserver"
  cluster         = var.cluster_name
  task_definition = aws_ecs_task_definition.service["webserver"].arn
  launch_type     = "FARGATE"
  desired_count   = 1
  propagate_tags  = "SERVICE"
  tags            = var.tags

  enable_ecs_managed_tags       = true
  enable_execute_command        = var.enable_execute_command
  availability_zone_rebalancing = "DISABLED"

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_ids["webserver"]]
    assign_public_ip = false
  }

  lifecycle {
    # After the first time the number is autoscaling's, or the operator's.
    ignore_changes = [desired_count]
  }
}

resource "aws_ecs_service" "code" {
  name            = "${var.name}-code"
  cluster         = var.cluster_name
  task_definition = aws_ecs_task_definition.service["code"].arn
  launch_type     = "FARGATE"
  desired_count   = 1
  propagate_tags  = "SERVICE"
  tags            = var.tags

  enable_ecs_managed_tags       = true
  availability_zone_rebalancing = "DISABLED"

  # Two versions of the definitions never answer at the same time.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_ids["code"]]
    assign_public_ip = false
  }

  service_registries {
    registry_arn = aws_service_discovery_service.code.arn
  }

  lifecycle {
    ignore_changes = [desired_count]
  }
}

resource "aws_ecs_service" "daemon" {
  name            = "${var.name}-daemon"
  cluster         = var.cluster_name
  task_definition = aws_ecs_task_definition.service["daemon"].arn
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = var.tags

  enable_ecs_managed_tags = true
  # It would start the second task before it stops the first one.
  availability_zone_rebalancing = "DISABLED"

  # Exactly one, never two: each would start every run.
  desired_count                      = 1
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_ids["daemon"]]
    assign_public_ip = false
  }
}
