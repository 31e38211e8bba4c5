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
  description = "KMS key of the images; null means AES256. Another key makes another, empty repository."
  type        = string
  default     = null
}

variable "keep_images" {
  description = "Images that are kept, newest first. More than the versions to which a rollback may go."
  type        = number
  default     = 30

  validation {
    # An expired image that is still in use cannot be pulled any more.
    condition     = var.keep_images >= 5 && var.keep_images <= 1000 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images must be from 5 to 1000."
  }
}

variable "force_delete" {
  description = "Let terraform destroy delete the repository with its images."
  type        = bool
  default     = false
}
