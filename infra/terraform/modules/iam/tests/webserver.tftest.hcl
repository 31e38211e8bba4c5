# What the webserver's role can change: nothing, or the end of runs.

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
  # Port forwarding is SSM's and has a switch of its own.
  enable_execute_command = false
  log_group_arns = {
    webserver = "arn:aws:logs:us-west-2:123456789012:log-group:/webserver"
    daemon    = "arn:aws:logs:us-west-2:123456789012:log-group:/daemon"
    code      = "arn:aws:logs:us-west-2:123456789012:log-group:/code"
    run       = "arn:aws:logs:us-west-2:123456789012:log-group:/run"
    exec      = "arn:aws:logs:us-west-2:123456789012:log-group:/exec"
  }
}

run "it_ends_runs_and_nothing_else" {
  command = plan

  assert {
    condition = [for statement in jsondecode(output.policies_json["webserver"]).Statement : statement
      if anytrue([for action in statement.Action : !can(regex(":(Describe|Get|List)", action))])
      ] == [{
        Sid      = "EndRuns"
        Effect   = "Allow"
        Action   = ["ecs:StopTask"]
        Resource = ["arn:aws:ecs:us-west-2:123456789012:task/mirror-test/*"]
        Condition = {
          ArnEquals = { "ecs:cluster" = "arn:aws:ecs:us-west-2:123456789012:cluster/mirror-test" }
          Null      = { "aws:ResourceTag/dagster/run_id" = "false" }
        }
    }]
    error_message = "The webserver may stop tasks that carry a run's id, in its own cluster, and change nothing else."
  }
}

run "it_only_reads" {
  command = plan

  variables {
    webserver_may_end_runs = false
  }

  assert {
    condition = alltrue(flatten([for statement in jsondecode(output.policies_json["webserver"]).Statement : [
      for action in statement.Action : can(regex(":(Describe|Get|List)", action))
    ]]))
    error_message = "The webserver's role must only read."
  }

  assert {
    condition     = strcontains(output.policies_json["daemon"], "ecs:StopTask")
    error_message = "The daemon ends runs all the same."
  }
}
