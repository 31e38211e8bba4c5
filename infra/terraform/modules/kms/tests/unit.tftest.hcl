mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name       = "mirror-test"
  region     = "us-west-2"
  account_id = "123456789012"
  tags       = { Team = "test" }
}

run "as_it_is" {
  command = apply

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30 && aws_kms_key.this.tags["Team"] == "test"
    error_message = "The key must rotate, and be kept for 30 days after its deletion."
  }

  assert {
    condition     = aws_kms_alias.this.name == "alias/mirror-test" && output.key_arn == aws_kms_key.this.arn
    error_message = "The alias must be the prefix."
  }

  assert {
    condition     = length([for s in jsondecode(aws_kms_key.this.policy).Statement : s if s.Effect == "Allow" && s.Action == "kms:*" && try(s.Principal.AWS, "") != "arn:aws:iam::123456789012:root"]) == 0
    error_message = "Only the account itself may do everything."
  }

  assert {
    condition     = alltrue([for s in jsondecode(aws_kms_key.this.policy).Statement : can(s.Condition) if can(s.Principal.Service)])
    error_message = "Every service must be bound by a condition."
  }

  assert {
    condition     = toset(({ for s in jsondecode(aws_kms_key.this.policy).Statement : s.Sid => s })["AlarmsAndBudgetsToTopics"].Principal.Service) == toset(["budgets.amazonaws.com", "cloudwatch.amazonaws.com"])
    error_message = "Alarms and budgets must be able to use encrypted topics."
  }

  assert {
    condition     = !can(({ for s in jsondecode(aws_kms_key.this.policy).Statement : s.Sid => s })["EventsToTopics"].Condition.StringEquals) && ({ for s in jsondecode(aws_kms_key.this.policy).Statement : s.Sid => s })["EventsToTopics"].Condition.ArnLike["kms:EncryptionContext:aws:sns:topicArn"] == "arn:aws:sns:us-west-2:123456789012:mirror-test-*"
    error_message = "EventBridge must be bound by the topic alone: AWS drops events under other conditions."
  }

  assert {
    condition     = ({ for s in jsondecode(aws_kms_key.this.policy).Statement : s.Sid => s })["EventsToQueues"].Condition.ArnLike["kms:EncryptionContext:aws:sqs:arn"] == "arn:aws:sqs:us-west-2:123456789012:mirror-test-*"
    error_message = "EventBridge must be able to use our encrypted queues."
  }

  assert {
    condition     = ({ for s in jsondecode(aws_kms_key.this.policy).Statement : s.Sid => s })["LogGroups"].Principal.Service == "logs.us-west-2.amazonaws.com"
    error_message = "CloudWatch Logs must be able to use the key."
  }
}

run "key_gone_too_soon" {
  command = plan

  variables {
    deletion_window_days = 3
  }

  expect_failures = [var.deletion_window_days]
}

run "name_too_long" {
  command = plan

  variables {
    name = "a2345678901234567890123456789012345678901"
  }

  expect_failures = [var.name]
}
