# Events that start syncs: bus -> rules -> queue, from which a sensor of Dagster takes them. The weekly schedule is
# Dagster's own and has no rule here.

data "aws_partition" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  create_bus = var.bus != "default"
  bus_name   = local.create_bus ? one(aws_cloudwatch_event_bus.this[*].name) : "default"
  bus_arn    = local.create_bus ? one(aws_cloudwatch_event_bus.this[*].arn) : "arn:${local.partition}:events:${var.region}:${var.account_id}:event-bus/default"

  # No pattern takes an event that another one takes: each event arrives once.
  patterns = merge(
    { for key, type in var.detail_types : key => { source = [var.event_source], "detail-type" = [type] } },
    { for key in ["other"] : key => {
      source        = [var.event_source]
      "detail-type" = [{ "anything-but" = sort(values(var.detail_types)) }]
    } if var.forward_other_events },
  )

  rule_arns = sort([for rule in aws_cloudwatch_event_rule.this : rule.arn])
}

resource "aws_cloudwatch_event_bus" "this" {
  count = local.create_bus ? 1 : 0

  name = "${var.name}-${var.bus}"

  tags = var.tags
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.patterns

  name           = "${var.name}-${each.key}"
  description    = each.key == "other" ? "Other events of ${var.event_source}, to be refused with a reason" : "${var.detail_types[each.key]}: starts a sync"
  event_bus_name = local.bus_name
  event_pattern  = jsonencode(each.value)
  state          = "ENABLED"

  tags = var.tags
}

# The whole event goes on, without an input transformer: the project reads its envelope.
resource "aws_cloudwatch_event_target" "this" {
  for_each = aws_cloudwatch_event_rule.this

  rule           = each.value.name
  event_bus_name = local.bus_name
  target_id      = "triggers"
  arn            = aws_sqs_queue.triggers.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  # Before the queues take its events a rule has nowhere to put them.
  depends_on = [aws_sqs_queue_policy.this]
}

# Queues

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-triggers-dead-letters"
  message_retention_seconds = var.retention_days * 86400

  # Either a key of our own or SQS's; the two arguments exclude each other.
  kms_master_key_id       = var.kms_key_arn
  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null

  tags = var.tags
}

resource "aws_sqs_queue" "triggers" {
  name                       = "${var.name}-triggers"
  message_retention_seconds  = var.retention_days * 86400
  visibility_timeout_seconds = 120 # as the sensor asks for with each delivery
  receive_wait_time_seconds  = 0   # the sensor asks for what it wants

  kms_master_key_id       = var.kms_key_arn
  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })

  tags = var.tags
}

# Nobody but our rules is let in by the queues' own policies; roles of this account come by theirs.
resource "aws_sqs_queue_policy" "this" {
  for_each = {
    triggers     = { url = aws_sqs_queue.triggers.id, arn = aws_sqs_queue.triggers.arn }
    dead_letters = { url = aws_sqs_queue.dead_letters.id, arn = aws_sqs_queue.dead_letters.arn }
  }

  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "OurRules"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = each.value.arn
        Condition = { ArnEquals = { "aws:SourceArn" = local.rule_arns } }
      }],
      [for arn in [each.value.arn] : {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "sqs:*"
        Resource  = arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      } if var.enforce_tls],
    )
  })
}
