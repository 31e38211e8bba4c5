variable "name" {
  description = "Prefix of the function's name."
  type        = string
}

variable "function_name" {
  description = "Name of the function."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "Key of the log group; null means AWS's own."
  type        = string
  default     = null
}

variable "image_uri" {
  description = "The project's image in ECR, in the same region: repository:tag, or better repository@sha256:…"
  type        = string
}

variable "role_arn" {
  description = "Role of the function."
  type        = string
}

variable "environment" {
  description = "Settings of the mirror. AWS_REGION is left out: the runtime sets it, and refuses to be told."
  type        = map(string)
}

variable "vpc" {
  description = "Private subnets and security groups of the function; null means outside of every VPC."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
}

variable "memory_size" {
  description = "MB of memory; CPU and network grow with it."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_size >= 512 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be 512 to 10240 MB: ten bottles at the same time need more than the least that Lambda has."
  }
}

variable "timeout" {
  description = "Seconds until an invocation is killed; no new bottle starts when they run short."
  type        = number
  default     = 900

  validation {
    condition     = var.timeout >= 60 && var.timeout <= 900
    error_message = "timeout must be 60 to 900 seconds: batches are cut for 900, Lambda's most."
  }
}

variable "architecture" {
  description = "Processor for which the image was built: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "reserved_concurrency" {
  description = "Most invocations at the same time, taken from the account's; -1 reserves none."
  type        = number
  default     = -1

  validation {
    condition     = var.reserved_concurrency == -1 || var.reserved_concurrency >= 1
    error_message = "reserved_concurrency must be -1 or at least 1: 0 would switch the function off."
  }
}

variable "log_retention_days" {
  description = "Days that the function's log is kept."
  type        = number
  default     = 30
}

variable "enable_xray_tracing" {
  description = "Whether invocations are traced."
  type        = bool
  default     = false
}
