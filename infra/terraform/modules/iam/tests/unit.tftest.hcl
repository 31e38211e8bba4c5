# Policies are plain text: plans show them whole.

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                  = "mirror-test"
  region                = "us-west-2"
  account_id            = "123456789012"
  bucket_arn            = "arn:aws:s3:::bottles"
  cluster_name          = "mirror-test"
  run_task_family       = "mirror-test-run"
  lambda_function_name  = "mirror-test-sync-worker"
  repository_arns       = ["arn:aws:ecr:us-west-2:123456789012:repository/mirror-test"]
  database_secret_arn   = "arn:aws:secretsmanager:us-west-2:123456789012:secret:rds!db-AbCdEf"
  slack_secret_arn      = "arn:aws:secretsmanager:us-west-2:123456789012:secret:slack-AbCdEf"
  messages_topic_arn    = "arn:aws:sns:us-west-2:123456789012:messages"
  security_topic_arn    = "arn:aws:sns:us-west-2:123456789012:security"
  trigger_queue_arn     = "arn:aws:sqs:us-west-2:123456789012:triggers"
  dead_letter_queue_arn = "arn:aws:sqs:us-west-2:123456789012:dead-letters"
  log_group_arns = {
    webserver = "arn:aws:logs:us-west-2:123456789012:log-group:/webserver"
    daemon    = "arn:aws:logs:us-west-2:123456789012:log-group:/daemon"
    code      = "arn:aws:logs:us-west-2:123456789012:log-group:/code"
    run       = "arn:aws:logs:us-west-2:123456789012:log-group:/run"
    exec      = "arn:aws:logs:us-west-2:123456789012:log-group:/exec"
  }
}

run "least_privilege" {
  command = plan

  assert {
    condition     = length(output.policies_json) == 6 && alltrue([for role in values(aws_iam_role.this) : startswith(role.name, "mirror-test-")])
    error_message = "There must be six roles, with the prefix."
  }

  assert {
    condition = alltrue(flatten([for policy in values(output.policies_json) : [
      for statement in jsondecode(policy).Statement : [
        for action in statement.Action : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))
      ]
    ]]))
    error_message = "An action has a wildcard."
  }

  assert {
    # Actions that take no resource, and no others.
    condition = length(setsubtract(flatten([for policy in values(output.policies_json) : [
      for statement in jsondecode(policy).Statement : statement.Action if contains(statement.Resource, "*")
      ]]), [
      "cloudwatch:PutMetricData", "ec2:DescribeNetworkInterfaces", "ecr:GetAuthorizationToken",
      "ecs:DescribeTaskDefinition", "logs:DescribeLogGroups", "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])) == 0
    error_message = "An action that takes a resource is allowed on all."
  }

  assert {
    condition = alltrue(flatten([for policy in values(output.policies_json) : [
      for statement in jsondecode(policy).Statement :
      statement.Condition == { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } } && sort(statement.Resource) == sort([
        "arn:aws:iam::123456789012:role/mirror-test-run", "arn:aws:iam::123456789012:role/mirror-test-execution",
      ]) if contains(statement.Action, "iam:PassRole")
    ]]))
    error_message = "PassRole must name the roles of runs and be tied to ECS."
  }

  assert {
    condition = alltrue(flatten([for role, policy in output.policies_json : [
      for statement in jsondecode(policy).Statement : contains(["run", "lambda"], role) && sort(statement.Resource) == sort([
        "arn:aws:s3:::bottles/state/receipts/*", "arn:aws:s3:::bottles/backups/bottles_hash/*",
      ]) if contains(statement.Action, "s3:DeleteObject")
    ]]))
    error_message = "Only receipts and old backups may be deleted, by runs and the Lambda."
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(output.policies_json["webserver"]).Statement : [
      for action in statement.Action : action if !can(regex(":(Describe|Get|List)", action))
      ]])) == toset([
      "ecs:StopTask", "logs:CreateLogStream", "logs:PutLogEvents", "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ])
    error_message = "The webserver reads; besides it ends runs and answers SSM."
  }

  assert {
    condition = anytrue([for statement in jsondecode(output.policies_json["code"]).Statement :
      statement.Action == ["cloudwatch:PutMetricData"] &&
      try(statement.Condition.StringEquals["cloudwatch:namespace"], "") == "HomebrewSync"
    ])
    error_message = "Metrics go into one namespace only."
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.policies_json["daemon"]).Statement :
      statement.Resource == ["arn:aws:ecs:us-west-2:123456789012:task-definition/mirror-test-run:*"] &&
      statement.Condition.ArnEquals["ecs:cluster"] == "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test"
      if contains(statement.Action, "ecs:RunTask")
    ])
    error_message = "The daemon starts runs, in its cluster, and nothing else."
  }
}

run "optional_parts" {
  command = plan

  variables {
    slack_secret_arn       = null
    messages_topic_arn     = null
    security_topic_arn     = null
    enable_execute_command = false
    enable_xray_tracing    = true
    kms_key_arn            = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
    s3_kms_key_arn         = "arn:aws:kms:us-west-2:123456789012:key/99999999-2222-3333-4444-555555555555"
    external_hash_file     = { bucket = "other", key = "hashes/known.json" }
    efs = {
      file_system_arn  = "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0"
      access_point_arn = "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0"
    }
  }

  assert {
    condition     = !strcontains(output.policies_json["code"], "sns:Publish") && !strcontains(output.policies_json["webserver"], "ssmmessages")
    error_message = "What is not there is not allowed."
  }

  assert {
    condition = alltrue([
      strcontains(output.policies_json["run"], "arn:aws:s3:::other/hashes/known.json"),
      strcontains(output.policies_json["run"], "elasticfilesystem:ClientMount"),
      strcontains(output.policies_json["run"], "99999999-2222"),
      strcontains(output.policies_json["lambda"], "99999999-2222"),
      strcontains(output.policies_json["lambda"], "xray:PutTraceSegments"),
      strcontains(output.policies_json["execution"], "11111111-2222"),
      !strcontains(output.policies_json["run"], "11111111-2222"),
    ])
    error_message = "Each part must reach the role that needs it."
  }
}

run "wrong_account" {
  command         = plan
  expect_failures = [var.account_id]
  variables {
    account_id = "1234"
  }
}
