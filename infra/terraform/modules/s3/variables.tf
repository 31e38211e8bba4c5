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

variable "bucket_name" {
  description = "Name of the mirror's bucket; unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,56}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be 3 to 58 lower-case letters, digits and hyphens, without dots (acceleration and TLS do not take them)."
  }
}

variable "key_prefix" {
  description = "Prefix of the mirror inside the bucket, as in MIRROR_URL=s3://bucket/prefix; empty means the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.key_prefix == "" || can(regex("^[^/].*[^/]$|^[^/]$", var.key_prefix))
    error_message = "key_prefix must not begin or end with a slash."
  }
}

variable "kms_key_id" {
  description = "ARN of the KMS key of new objects; empty means AES256, S3's own keys. The setting S3_SSE has to match."
  type        = string
  default     = ""

  validation {
    condition     = var.kms_key_id == "" || can(regex("^arn:[a-z-]+:kms:", var.kms_key_id))
    error_message = "kms_key_id must be empty or a KMS key's whole ARN: S3 would look for a bare id or alias in the account of whoever writes."
  }
}

variable "enforce_tls" {
  description = "Refuse every request without TLS 1.2 or newer. Off only for servers that do not understand the condition."
  type        = bool
  default     = true
}

variable "versioning" {
  description = "Keep replaced and deleted objects as noncurrent versions for noncurrent_days."
  type        = bool
  default     = true
}

variable "expiration_days" {
  description = "Days after which objects expire that carry the tag mirror-superseded=true, counted from their creation. Nothing else ever expires."
  type        = number
  default     = 365

  validation {
    condition     = var.expiration_days >= 1 && floor(var.expiration_days) == var.expiration_days
    error_message = "expiration_days must be a whole number of 1 or more."
  }
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted versions are kept; only then are their bytes gone."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number of 1 or more."
  }
}

variable "transition_days" {
  description = "Days after which bottles move to transition_storage_class; 0 means never."
  type        = number
  default     = 30

  validation {
    condition     = var.transition_days >= 0 && floor(var.transition_days) == var.transition_days
    error_message = "transition_days must be a whole number, 0 or more."
  }

  validation {
    condition     = var.transition_days == 0 || var.transition_days >= 30 || var.transition_storage_class != "STANDARD_IA"
    error_message = "S3 moves objects to STANDARD_IA after 30 days at the earliest."
  }
}

variable "transition_storage_class" {
  description = "Cheaper storage for older bottles. All three are read at once; the last two charge for each read and for at least 30 or 90 days."
  type        = string
  default     = "INTELLIGENT_TIERING"

  validation {
    # GLACIER and DEEP_ARCHIVE have to be restored for hours before a read: "held" would no longer be true.
    condition     = contains(["INTELLIGENT_TIERING", "STANDARD_IA", "GLACIER_IR"], var.transition_storage_class)
    error_message = "transition_storage_class must be INTELLIGENT_TIERING, STANDARD_IA or GLACIER_IR."
  }
}

variable "abort_multipart_days" {
  description = "Days after which the parts of unfinished uploads are removed."
  type        = number
  default     = 7

  validation {
    condition     = var.abort_multipart_days >= 1 && floor(var.abort_multipart_days) == var.abort_multipart_days
    error_message = "abort_multipart_days must be a whole number of 1 or more."
  }
}

variable "transfer_acceleration" {
  description = "Offer the bucket's accelerated address. It costs per GB; the setting S3_ACCELERATE has to match."
  type        = bool
  default     = false
}

variable "replication" {
  description = "Copy every new object to a bucket in another region; null means no replication. The other bucket must exist and be versioned; kms_key_arn is the key there, storage_class the one there."
  type = object({
    bucket_arn    = string
    kms_key_arn   = optional(string)
    storage_class = optional(string, "STANDARD_IA")
  })
  default = null

  validation {
    condition     = var.replication == null || can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]{3,63}$", var.replication.bucket_arn))
    error_message = "replication.bucket_arn must be a bucket's ARN, such as arn:aws:s3:::my-replica."
  }

  validation {
    condition     = var.replication == null || var.versioning
    error_message = "replication needs versioning."
  }

  validation {
    # A key on one side only would leave objects unreplicated without any error.
    condition     = var.replication == null || var.kms_key_id == "" || try(var.replication.kms_key_arn, null) != null
    error_message = "replication.kms_key_arn is needed when kms_key_id encrypts the bucket."
  }

  validation {
    condition     = var.replication == null || contains(["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], try(var.replication.storage_class, ""))
    error_message = "replication.storage_class must be STANDARD, STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }
}

variable "force_destroy" {
  description = "Let terraform destroy delete the bucket with everything in it. Off: a bucket that is not empty stays."
  type        = bool
  default     = false
}

variable "enable_access_logs" {
  description = "Have S3 record every request to the bucket."
  type        = bool
  default     = true
}

variable "access_log_bucket" {
  description = "Existing bucket for the access logs; empty makes one, named after the mirror's with -logs appended."
  type        = string
  default     = ""
}

variable "access_log_days" {
  description = "Days that access logs are kept, in the bucket made here."
  type        = number
  default     = 90

  validation {
    condition     = var.access_log_days >= 1 && floor(var.access_log_days) == var.access_log_days
    error_message = "access_log_days must be a whole number of 1 or more."
  }
}
