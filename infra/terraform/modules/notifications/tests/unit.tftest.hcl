mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name              = "mirror-test"
  slack_webhook_url = "" # terraform test wants a value of every ephemeral variable
  account_id        = "123456789012"
  kms_key_arn       = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  tags              = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = output.slack_secret_name == "mirror-test/slack-webhook" && toset([for topic in aws_sns_topic.this : topic.name]) == toset(["mirror-test-alerts", "mirror-test-messages", "mirror-test-security"])
    error_message = "Names must begin with the prefix."
  }

  assert {
    condition     = length(aws_secretsmanager_secret_version.slack) == 0 && !output.slack_secret_has_value
    error_message = "Without a webhook there must be a place, and no value."
  }

  assert {
    condition     = alltrue([for topic in aws_sns_topic.this : topic.kms_master_key_id == var.kms_key_arn && topic.tags["Team"] == "test"]) && aws_secretsmanager_secret.slack.kms_key_id == var.kms_key_arn && aws_secretsmanager_secret.slack.tags["Team"] == "test"
    error_message = "The key must encrypt everything, and tags must be everywhere."
  }

  assert {
    condition     = toset([for s in jsondecode(aws_sns_topic_policy.this["alerts"].policy).Statement : s.Principal.Service if s.Effect == "Allow"]) == toset(["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"])
    error_message = "Alarms, budgets and EventBridge must be able to alert."
  }

  assert {
    condition     = length([for s in jsondecode(aws_sns_topic_policy.this["messages"].policy).Statement : s if s.Effect == "Allow"]) == 0
    error_message = "No service may send messages by itself."
  }

  assert {
    condition     = alltrue([for s in jsondecode(aws_sns_topic_policy.this["security"].policy).Statement : can(s.Condition)])
    error_message = "Every statement must be bound to the account or to TLS."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0 && length(aws_secretsmanager_secret_rotation.this) == 0 && length(output.api_key_secret_arns) == 0
    error_message = "Nobody is told, nothing rotates."
  }
}

run "with_everything" {
  command = apply

  variables {
    slack_webhook_url     = "https://hooks.slack.com/services/T/B/X"
    slack_webhook_version = 3
    api_keys              = { github = "Token of api.github.com" }
    emails                = ["a@example.com", "b@example.com"]
    email_topics          = ["alerts", "security"]
    enable_rotation       = true
    rotation_lambda_arn   = "arn:aws:lambda:us-west-2:123456789012:function:rotate"
    enforce_tls           = false
  }

  assert {
    condition     = aws_secretsmanager_secret_version.slack[0].secret_string_wo_version == 3 && aws_secretsmanager_secret_version.slack[0].secret_string == null && output.slack_secret_has_value
    error_message = "The webhook must be written, and not remembered."
  }

  assert {
    condition     = aws_secretsmanager_secret.api_key["github"].name == "mirror-test/api-keys/github" && keys(output.api_key_secret_arns) == ["github"]
    error_message = "There must be a place for the key."
  }

  assert {
    condition     = toset([for s in aws_sns_topic_subscription.email : s.endpoint]) == toset(["a@example.com", "b@example.com"]) && length(aws_sns_topic_subscription.email) == 4
    error_message = "Both must be told of alerts and security."
  }

  assert {
    condition     = length(aws_secretsmanager_secret_rotation.this) == 2 && aws_secretsmanager_secret_rotation.this["slack"].rotation_rules[0].automatically_after_days == 90
    error_message = "Both secrets must rotate."
  }

  assert {
    condition     = length([for s in jsondecode(aws_sns_topic_policy.this["alerts"].policy).Statement : s if s.Effect == "Deny"]) == 0 && length(aws_sns_topic_policy.this) == 2
    error_message = "Without enforce_tls nothing is refused."
  }
}

run "webhook_that_would_not_be_written" {
  command = plan

  variables {
    slack_webhook_url = "https://hooks.slack.com/services/T/B/X"
  }

  expect_failures = [var.slack_webhook_url]
}

run "webhook_without_tls" {
  command = plan

  variables {
    slack_webhook_url     = "http://hooks.slack.com/x"
    slack_webhook_version = 1
  }

  expect_failures = [var.slack_webhook_url]
}

run "rotation_without_lambda" {
  command = plan

  variables {
    enable_rotation = true
  }

  expect_failures = [var.enable_rotation]
}

run "not_an_address" {
  command = plan

  variables {
    emails = ["devops"]
  }

  expect_failures = [var.emails]
}

run "unknown_topic" {
  command = plan

  variables {
    email_topics = ["all"]
  }

  expect_failures = [var.email_topics]
}

run "odd_recovery" {
  command = plan

  variables {
    secret_recovery_days = 3
  }

  expect_failures = [var.secret_recovery_days]
}

run "key_without_description" {
  command = plan

  variables {
    api_keys = { github = "" }
  }

  expect_failures = [var.api_keys]
}
