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
    condition     = output.bus_name == "default" && output.bus_arn == "arn:aws:events:us-west-2:123456789012:event-bus/default" && length(aws_cloudwatch_event_bus.this) == 0
    error_message = "The account's own bus must be listened to."
  }

  assert {
    condition     = toset(keys(output.rule_arns)) == toset(["manual-sync", "manual-sync-trigger", "other", "selective-sync"]) && alltrue([for rule in aws_cloudwatch_event_rule.this : startswith(rule.name, "mirror-test-") && rule.tags["Team"] == "test"])
    error_message = "There must be a rule for each event, and one for the rest."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.this["selective-sync"].event_pattern) == { source = ["homebrew.sync"], "detail-type" = ["Selective Sync"] }
    error_message = "The pattern must be that of the project."
  }

  assert {
    condition     = toset(jsondecode(aws_cloudwatch_event_rule.this["other"].event_pattern)["detail-type"][0]["anything-but"]) == toset(["Manual Sync", "Manual Sync Trigger", "Selective Sync"])
    error_message = "No event may arrive twice."
  }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.this : target.input_transformer == null || length(target.input_transformer) == 0]) && length(aws_cloudwatch_event_target.this) == 4
    error_message = "Events must arrive as they are."
  }

  assert {
    condition     = aws_sqs_queue.triggers.name == "mirror-test-triggers" && aws_sqs_queue.triggers.message_retention_seconds == 1209600 && aws_sqs_queue.dead_letters.message_retention_seconds == 1209600 && aws_sqs_queue.triggers.sqs_managed_sse_enabled && aws_sqs_queue.triggers.tags["Team"] == "test"
    error_message = "Queues must keep events for 14 days, encrypted."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.triggers.redrive_policy).maxReceiveCount == 10 && jsondecode(aws_sqs_queue.triggers.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead_letters.arn
    error_message = "After ten deliveries an event must go to the dead letters."
  }

  assert {
    condition     = [for s in jsondecode(aws_sqs_queue_policy.this["triggers"].policy).Statement : s.Principal.Service if s.Effect == "Allow"] == ["events.amazonaws.com"] && alltrue([for s in jsondecode(aws_sqs_queue_policy.this["triggers"].policy).Statement : s.Action == "sqs:SendMessage" && toset(s.Condition.ArnEquals["aws:SourceArn"]) == toset(values(output.rule_arns)) if s.Effect == "Allow"])
    error_message = "Only our rules may send."
  }

  assert {
    condition     = length([for s in jsondecode(aws_sqs_queue_policy.this["dead_letters"].policy).Statement : s if s.Effect == "Deny"]) == 1
    error_message = "Requests without TLS must be refused."
  }
}

run "flags_the_other_way" {
  command = apply

  variables {
    bus                  = "syncs"
    forward_other_events = false
    enforce_tls          = false
    kms_key_arn          = "arn:aws:kms:us-west-2:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = output.bus_name == "mirror-test-syncs" && alltrue([for rule in aws_cloudwatch_event_rule.this : rule.event_bus_name == "mirror-test-syncs"]) && length(aws_cloudwatch_event_bus.this) == 1
    error_message = "There must be a bus of our own."
  }

  assert {
    condition     = toset(keys(output.rule_arns)) == toset(["manual-sync", "manual-sync-trigger", "selective-sync"])
    error_message = "Other events must be left alone."
  }

  assert {
    condition     = length([for s in jsondecode(aws_sqs_queue_policy.this["triggers"].policy).Statement : s if s.Effect == "Deny"]) == 0
    error_message = "Nothing is refused."
  }

  assert {
    condition     = aws_sqs_queue.triggers.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.dead_letters.kms_master_key_id == var.kms_key_arn
    error_message = "The key must encrypt both queues."
  }
}

run "events_of_aws" {
  command = plan

  variables {
    event_source = "aws.s3"
  }

  expect_failures = [var.event_source]
}

run "given_up_too_soon" {
  command = plan

  variables {
    max_receive_count = 3
  }

  expect_failures = [var.max_receive_count]
}

run "kept_too_long" {
  command = plan

  variables {
    retention_days = 30
  }

  expect_failures = [var.retention_days]
}

run "bus_with_capitals" {
  command = plan

  variables {
    bus = "Syncs"
  }

  expect_failures = [var.bus]
}

run "reserved_key" {
  command = plan

  variables {
    detail_types = { other = "Something" }
  }

  expect_failures = [var.detail_types]
}
