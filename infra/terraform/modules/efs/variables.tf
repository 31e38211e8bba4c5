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

variable "kms_key_arn" {
  description = "KMS key of the file system; null means AWS's own key. Another key makes another, empty file system."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets that get a mount target, one per zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "subnet_ids must name at least one subnet."
  }
}

variable "security_group_id" {
  description = "Security group of the mount targets."
  type        = string
}

variable "performance_mode" {
  description = "generalPurpose, or maxIO: more operations a second at more latency each. Changing it makes another, empty file system."
  type        = string
  default     = "generalPurpose"

  validation {
    condition     = contains(["generalPurpose", "maxIO"], var.performance_mode)
    error_message = "performance_mode must be generalPurpose or maxIO."
  }
}

variable "throughput_mode" {
  description = "elastic (paid per GB moved), bursting (by what is stored) or provisioned (paid by the month, used or not)."
  type        = string
  default     = "elastic"

  validation {
    condition     = contains(["elastic", "bursting", "provisioned"], var.throughput_mode)
    error_message = "throughput_mode must be elastic, bursting or provisioned."
  }

  validation {
    condition     = var.throughput_mode != "elastic" || var.performance_mode == "generalPurpose"
    error_message = "throughput_mode elastic needs performance_mode generalPurpose."
  }
}

variable "provisioned_throughput" {
  description = "MiB/s with throughput_mode provisioned, at about 6 USD a month each; not used otherwise."
  type        = number
  default     = null

  validation {
    condition     = var.provisioned_throughput == null ? true : var.provisioned_throughput >= 1 && var.provisioned_throughput <= 1024
    error_message = "provisioned_throughput must be from 1 to 1024 MiB/s."
  }

  validation {
    condition     = var.throughput_mode != "provisioned" || var.provisioned_throughput != null
    error_message = "throughput_mode provisioned needs provisioned_throughput."
  }
}

variable "transition_to_ia" {
  description = "When files that nobody reads move to cheaper storage; empty means never."
  type        = string
  default     = "AFTER_30_DAYS"

  validation {
    condition     = contains(["", "AFTER_1_DAY", "AFTER_7_DAYS", "AFTER_14_DAYS", "AFTER_30_DAYS", "AFTER_60_DAYS", "AFTER_90_DAYS"], var.transition_to_ia)
    error_message = "transition_to_ia must be empty or one of AFTER_1_DAY, AFTER_7_DAYS, AFTER_14_DAYS, AFTER_30_DAYS, AFTER_60_DAYS, AFTER_90_DAYS."
  }
}

variable "enforce_tls" {
  description = "Refuse mounts without TLS, and those without an IAM role that may mount."
  type        = bool
  default     = true
}

variable "enable_backup" {
  description = "Daily backups by AWS Backup, kept 35 days."
  type        = bool
  default     = false
}

variable "posix_id" {
  description = "User and group that own what is written through the access point: the image's user."
  type        = number
  default     = 65534

  validation {
    condition     = var.posix_id >= 1 && var.posix_id <= 4294967295
    error_message = "posix_id must not be 0, which is root."
  }
}
