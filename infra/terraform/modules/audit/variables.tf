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
  description = "KMS key of trail and bucket; null means S3's own keys. Its policy has to allow CloudTrail."
  type        = string
  default     = null
}

variable "data_event_bucket_arns" {
  description = "Buckets whose every write and delete is recorded too. It costs per 100,000 events: a first sync makes some ten thousand."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.data_event_bucket_arns : can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", arn))])
    error_message = "data_event_bucket_arns must be ARNs of buckets, without a slash."
  }
}

variable "expiration_days" {
  description = "Days that the trail's files are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.expiration_days >= 90 && floor(var.expiration_days) == var.expiration_days
    error_message = "expiration_days must be a whole number of 90 or more: CloudTrail itself shows 90 days for nothing."
  }
}

variable "multi_region" {
  description = "Record all regions, global services such as IAM included."
  type        = bool
  default     = true
}

variable "enforce_tls" {
  description = "Refuse requests to the bucket without TLS 1.2 or newer."
  type        = bool
  default     = true
}

variable "force_destroy" {
  description = "Let terraform destroy delete the bucket with all records."
  type        = bool
  default     = false
}
