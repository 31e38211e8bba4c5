variable "name" {
  description = "Prefix of every resource name, so that two copies fit into one account."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 40
    error_message = "name must be lower-case letters, digits and single hyphens, start with a letter, 40 characters at most."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "account_id" {
  description = "Account in which everything is made; used in policies."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must have 12 digits."
  }
}

variable "kms_key_arn" {
  description = "KMS key of secrets and topics; null means AWS's own key for secrets and no key for topics. Its policy has to allow CloudWatch, budgets and EventBridge."
  type        = string
  default     = null
}

variable "slack_webhook_url" {
  description = "Slack's webhook, written into its secret when slack_webhook_version says so. It never appears in plan or state; empty writes nothing."
  type        = string
  default     = ""
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = var.slack_webhook_url == "" || can(regex("^https://[^\\s]+$", var.slack_webhook_url))
    error_message = "slack_webhook_url must be empty or an https address."
  }

  validation {
    condition     = var.slack_webhook_url == "" || var.slack_webhook_version >= 1
    error_message = "slack_webhook_url is set but would not be written: set slack_webhook_version to 1 (and one higher for every new webhook)."
  }
}

variable "slack_webhook_version" {
  description = "Terraform does not remember the webhook, so this says when to write it: 0 never, 1 at first, one higher for every new webhook. The webhook itself is needed only on the apply that raises it."
  type        = number
  default     = 0

  validation {
    condition     = var.slack_webhook_version >= 0 && floor(var.slack_webhook_version) == var.slack_webhook_version
    error_message = "slack_webhook_version must be a whole number, 0 or more."
  }
}

variable "slack_secret_name" {
  description = "Name of the webhook's secret; null means <name>/slack-webhook."
  type        = string
  default     = null

  validation {
    condition     = var.slack_secret_name == null ? true : can(regex("^[A-Za-z0-9/_+=.@-]{1,512}$", var.slack_secret_name))
    error_message = "slack_secret_name must be letters, digits and /_+=.@-"
  }
}

variable "api_keys" {
  description = "Places for further keys: name to description. Each is a secret <name>/api-keys/<key> without a value; people put that in."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, text in var.api_keys : can(regex("^[a-z0-9][a-z0-9-]{0,62}$", key)) && text != ""])
    error_message = "api_keys must have names of lower-case letters, digits and hyphens, and a description each."
  }
}

variable "secret_recovery_days" {
  description = "Days in which a deleted secret can be brought back, and its name is taken; 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days must be 0 or from 7 to 30."
  }
}

variable "enable_rotation" {
  description = "Have Secrets Manager call rotation_lambda_arn for the webhook's secret and those of api_keys. Each needs a value first."
  type        = bool
  default     = false

  validation {
    condition     = !var.enable_rotation || var.rotation_lambda_arn != null
    error_message = "enable_rotation needs rotation_lambda_arn: Slack has no way to change a webhook by itself."
  }
}

variable "rotation_lambda_arn" {
  description = "Your own Lambda that changes these secrets; it must allow secretsmanager.amazonaws.com to invoke it."
  type        = string
  default     = null
}

variable "rotation_days" {
  description = "Days between two rotations."
  type        = number
  default     = 90

  validation {
    condition     = var.rotation_days >= 1 && var.rotation_days <= 1000
    error_message = "rotation_days must be from 1 to 1000."
  }
}

variable "emails" {
  description = "Addresses that get e-mail from the topics of email_topics. Each has to confirm by a link, once per topic."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "emails must be e-mail addresses."
  }
}

variable "email_topics" {
  description = "Topics that go to emails: alerts (alarms, costs), messages (start and end of each sync), security."
  type        = set(string)
  default     = ["alerts", "messages", "security"]

  validation {
    condition     = length(setsubtract(var.email_topics, ["alerts", "messages", "security"])) == 0
    error_message = "email_topics may hold alerts, messages and security."
  }
}

variable "enforce_tls" {
  description = "Refuse to take messages without TLS."
  type        = bool
  default     = true
}
