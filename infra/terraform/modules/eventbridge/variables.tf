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

variable "region" {
  description = "Region in which everything is made."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region's code, such as us-west-2."
  }
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
  description = "KMS key of both queues; null means SQS's own keys. Its policy has to allow EventBridge."
  type        = string
  default     = null
}

variable "bus" {
  description = "Bus on which events are listened for. default is the account's own, which put-events uses when told nothing; any other word makes a bus <name>-<bus>. Two deployments on one bus both hear every event."
  type        = string
  default     = "default"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,63}$", var.bus))
    error_message = "bus must be default, or lower-case letters, digits and hyphens."
  }
}

variable "event_source" {
  description = "Source of the events. The project refuses others than homebrew.sync."
  type        = string
  default     = "homebrew.sync"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.event_source)) && !startswith(var.event_source, "aws.")
    error_message = "event_source must be a word, and not begin with aws., which is AWS's own."
  }
}

variable "detail_types" {
  description = "Events that start syncs: key of the rule to detail-type."
  type        = map(string)
  default = {
    manual-sync         = "Manual Sync"
    manual-sync-trigger = "Manual Sync Trigger"
    selective-sync      = "Selective Sync"
  }

  validation {
    condition     = length(var.detail_types) > 0 && alltrue([for key, text in var.detail_types : can(regex("^[a-z0-9-]{1,20}$", key)) && text != "" && key != "other"])
    error_message = "detail_types must have keys of lower-case letters, digits and hyphens (not other), and a text each."
  }
}

variable "forward_other_events" {
  description = "Send events of the source with another detail-type to the queue too: the project refuses them with a reason in the dead-letter queue, instead of a typo vanishing without a trace."
  type        = bool
  default     = true
}

variable "max_receive_count" {
  description = "Deliveries after which an event goes to the dead-letter queue. An event whose run cannot be queued at once is delivered again: allow 10 or more."
  type        = number
  default     = 10

  validation {
    condition     = var.max_receive_count >= 10 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be from 10 to 1000."
  }
}

variable "retention_days" {
  description = "Days that both queues keep events: how long the deployment may be down."
  type        = number
  default     = 14

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 14
    error_message = "retention_days must be from 1 to 14."
  }
}

variable "enforce_tls" {
  description = "Refuse requests to the queues without TLS."
  type        = bool
  default     = true
}
