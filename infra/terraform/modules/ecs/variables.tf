variable "name" {
  description = "Name of the cluster, and prefix of everything else."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "Key of the log groups and of sessions in containers; null means AWS's own."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "Network in which the code server's name is known."
  type        = string
}

variable "namespace_name" {
  description = "Private DNS name under which services are found."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.namespace_name))
    error_message = "namespace_name must be a DNS name with a dot, such as mirror.internal."
  }
}

variable "log_retention_days" {
  description = "Days that container logs are kept."
  type        = number
  default     = 30

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days must be a number of days that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "enable_container_insights" {
  description = "Whether CloudWatch collects metrics of every task; each costs as a custom metric."
  type        = bool
  default     = true
}
