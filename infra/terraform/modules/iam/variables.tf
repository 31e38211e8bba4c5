variable "name" {
  description = "Prefix of every role's name."
  type        = string

  validation {
    # The longest suffix is -webserver; IAM takes 64 characters.
    condition     = can(regex("^[a-z][a-z0-9-]{1,47}$", var.name))
    error_message = "name must be 2 to 48 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "tags" {
  description = "Tags of every role."
  type        = map(string)
  default     = {}
}

variable "partition" {
  description = "AWS partition of the ARNs that are put together here."
  type        = string
  default     = "aws"
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "account_id" {
  description = "Account of the deployment."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must have 12 digits."
  }
}

variable "bucket_arn" {
  description = "The mirror's bucket."
  type        = string
}

variable "cluster_name" {
  description = "ECS cluster of the services and the runs. Only its name: roles come before what uses them."
  type        = string
}

variable "run_task_family" {
  description = "Family of the runs' task definition."
  type        = string
}

variable "lambda_function_name" {
  description = "The Lambda that copies batches."
  type        = string
}

variable "repository_arns" {
  description = "ECR repositories from which tasks pull."
  type        = list(string)
}

variable "log_group_arns" {
  description = "Log groups of the containers: webserver, daemon, code, run and exec."
  type        = map(string)

  validation {
    condition     = alltrue([for key in ["webserver", "daemon", "code", "run", "exec"] : contains(keys(var.log_group_arns), key)])
    error_message = "log_group_arns needs webserver, daemon, code, run and exec."
  }
}

variable "database_secret_arn" {
  description = "Secret with the database's password, read when a task starts."
  type        = string
}

variable "slack_secret_arn" {
  description = "Secret with Slack's webhook; null without one."
  type        = string
  default     = null
}

variable "container_secret_arns" {
  description = "Further secrets that ECS hands to every container when a task starts."
  type        = list(string)
  default     = []
}

variable "lambda_secret_arns" {
  description = "Secrets that the Lambda reads when it starts."
  type        = list(string)
  default     = []
}

variable "registry_secret_arn" {
  description = "Secret with the registry's user and password, which runs and the Lambda read; null without one."
  type        = string
  default     = null
}

variable "own_secrets_kms_key_arns" {
  description = "Keys of these three kinds of secrets, where they are not AWS's own."
  type        = list(string)
  default     = []
}

variable "enable_lambda_vpc" {
  description = "Whether the Lambda stands in the VPC."
  type        = bool
  default     = false
}

variable "messages_topic_arn" {
  description = "SNS topic of the messages; null without one."
  type        = string
  default     = null
}

variable "security_topic_arn" {
  description = "SNS topic of the security events; null without one."
  type        = string
  default     = null
}

variable "trigger_queue_arn" {
  description = "Queue of the events that start syncs."
  type        = string
}

variable "dead_letter_queue_arn" {
  description = "Queue of the events that cannot be understood."
  type        = string
}

variable "metrics_namespace" {
  description = "The only CloudWatch namespace to which metrics may be published."
  type        = string
  default     = "HomebrewSync"
}

variable "kms_key_arn" {
  description = "Key of logs, topics, queues and secrets; null where they use AWS's own keys."
  type        = string
  default     = null
}

variable "s3_kms_key_arn" {
  description = "Key of the bucket's objects; null with AES256."
  type        = string
  default     = null
}

variable "external_hash_file" {
  description = "The external hash file in S3 that planning reads; null without one, or where it lies in the mirror's bucket."
  type = object({
    bucket = string
    key    = string
  })
  default = null
}

variable "efs" {
  description = "File system that run tasks mount; null without one."
  type = object({
    file_system_arn  = string
    access_point_arn = string
  })
  default = null
}

variable "enable_execute_command" {
  description = "Whether port forwarding by SSM to the webserver's task is allowed."
  type        = bool
  default     = true
}

variable "webserver_may_end_runs" {
  description = "Whether the webserver may stop tasks of runs, and only those."
  type        = bool
  default     = true
}

variable "enable_xray_tracing" {
  description = "Whether the Lambda may send traces."
  type        = bool
  default     = false
}
