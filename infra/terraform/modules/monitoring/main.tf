# Metrics that log lines make. The project's own metrics come from its sensors (namespace HomebrewSync); these
# tell what its programs say of themselves, and of attacks.

locals {
  namespace = "HomebrewSync"
  # Metrics of filters have no constant dimension: a namespace of their own keeps two copies apart.
  log_namespace = "HomebrewSync/${var.name}"

  # X-Ray takes 32 characters; two names that begin alike must not meet.
  traces = length(var.name) <= 32 ? var.name : "${substr(var.name, 0, 23)}-${substr(sha256(var.name), 0, 8)}"

  programs = toset(["webserver", "daemon", "code", "run", "lambda"])
  # Lines of the mirror's own programs (infra/README.md, "Logs"); Dagster's have no such field.
  tellers = toset(["run", "lambda"])
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each = local.programs

  name           = "${var.name}-${each.key}-errors"
  log_group_name = var.log_group_names[each.key]
  pattern        = "{ $.level = \"ERROR\" || $.level = \"error\" || $.level = \"CRITICAL\" || $.level = \"critical\" }"

  metric_transformation {
    name          = "Errors-${each.key}"
    namespace     = local.log_namespace
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

# Bytes or hosts that are not what they must be.
resource "aws_cloudwatch_log_metric_filter" "security" {
  for_each = local.tellers

  name           = "${var.name}-${each.key}-security"
  log_group_name = var.log_group_names[each.key]
  pattern        = "{ $.security IS TRUE }"

  metric_transformation {
    name          = "SecurityEvents"
    namespace     = local.log_namespace
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_log_metric_filter" "failed_bottles" {
  for_each = local.tellers

  name           = "${var.name}-${each.key}-failed-bottles"
  log_group_name = var.log_group_names[each.key]
  pattern        = "{ $.bottle = \"*\" && $.level = \"ERROR\" }"

  metric_transformation {
    name          = "FailedBottleLines"
    namespace     = local.log_namespace
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

# Traces of the Lambda. No sampling rule: Lambda takes none, it traces the first call of each second and 5 % of the others.
# https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
resource "aws_xray_group" "this" {
  count = var.enable_xray_tracing ? 1 : 0

  group_name        = local.traces
  filter_expression = "service(\"${var.function_name}\")"
  tags              = var.tags
}

# Costs. Tags would have to be activated for billing first, and an inactive one counts nothing: the budget is
# the account's.
resource "aws_budgets_budget" "this" {
  count = var.enable_budget && var.monthly_budget_limit > 0 ? 1 : 0

  name         = "${var.name}-monthly"
  budget_type  = "COST"
  limit_amount = format("%.1f", var.monthly_budget_limit)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = var.tags

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type          = notification.key
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      comparison_operator        = "GREATER_THAN"
      subscriber_sns_topic_arns  = [var.alerts_topic_arn]
      subscriber_email_addresses = var.budget_emails
    }
  }
}
