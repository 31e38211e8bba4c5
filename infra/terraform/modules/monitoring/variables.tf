variable "name" {
  description = "Prefix of alarms, dashboard and everything else."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "region" {
  description = "Region of what is watched."
  type        = string
}

variable "environment" {
  description = "Name of this deployment in its metrics: the setting ENVIRONMENT."
  type        = string
}

variable "alerts_topic_arn" {
  description = "SNS topic of alarms."
  type        = string
}

variable "security_topic_arn" {
  description = "SNS topic of security alarms."
  type        = string
}

variable "cluster_name" {
  description = "ECS cluster of the services."
  type        = string
}

variable "service_names" {
  description = "Services by role: webserver, daemon, code."
  type        = map(string)
}

variable "run_task_family" {
  description = "Family of the runs' tasks."
  type        = string
}

variable "function_name" {
  description = "The Lambda."
  type        = string
}

variable "log_group_names" {
  description = "Log groups by what writes there: webserver, daemon, code, run, lambda."
  type        = map(string)

  validation {
    condition     = alltrue([for key in ["webserver", "daemon", "code", "run", "lambda"] : contains(keys(var.log_group_names), key)])
    error_message = "log_group_names needs webserver, daemon, code, run and lambda."
  }
}

variable "database_identifier" {
  description = "The database instance, or the Aurora cluster."
  type        = string
}

variable "database_engine" {
  description = "postgres or aurora-postgresql: their metrics differ."
  type        = string
  default     = "postgres"

  validation {
    condition     = contains(["postgres", "aurora-postgresql"], var.database_engine)
    error_message = "database_engine must be postgres or aurora-postgresql."
  }
}

variable "trigger_queue_name" {
  description = "Queue of the events that start syncs."
  type        = string
}

variable "dead_letter_queue_name" {
  description = "Queue of the events that cannot be understood."
  type        = string
}

variable "bucket_name" {
  description = "The mirror's bucket."
  type        = string
}

variable "enable_metrics" {
  description = "Whether the project publishes its metrics; without them there is nothing to raise an alarm on."
  type        = bool
  default     = true
}

variable "schedule_enabled" {
  description = "Whether syncs start by themselves; otherwise a week without one is no alarm."
  type        = bool
  default     = true
}

variable "enable_task_metrics" {
  description = "Whether Container Insights shows what single tasks use."
  type        = bool
  default     = true
}

variable "sync_age_limit_hours" {
  description = "Hours since the last good sync after which an alarm is raised: a week, and a day for the sync itself."
  type        = number
  default     = 192

  validation {
    condition     = var.sync_age_limit_hours >= 2
    error_message = "sync_age_limit_hours must be 2 or more."
  }
}

variable "lambda_error_rate_threshold" {
  description = "Percent of the Lambda's invocations that may fail."
  type        = number
  default     = 5

  validation {
    condition     = var.lambda_error_rate_threshold > 0 && var.lambda_error_rate_threshold <= 100
    error_message = "lambda_error_rate_threshold must be above 0 and at most 100 percent."
  }
}

variable "ecs_cpu_utilization_threshold" {
  description = "Percent of its CPU that a service may use for 15 minutes."
  type        = number
  default     = 80

  validation {
    condition     = var.ecs_cpu_utilization_threshold > 0 && var.ecs_cpu_utilization_threshold <= 100
    error_message = "ecs_cpu_utilization_threshold must be above 0 and at most 100 percent."
  }
}

variable "ecs_memory_utilization_threshold" {
  description = "Percent of its memory that a service, or a run, may use for 15 minutes."
  type        = number
  default     = 85

  validation {
    condition     = var.ecs_memory_utilization_threshold > 0 && var.ecs_memory_utilization_threshold <= 100
    error_message = "ecs_memory_utilization_threshold must be above 0 and at most 100 percent."
  }
}

variable "database_free_storage_threshold_gb" {
  description = "GB that the database's disk must have free; of an Aurora instance, its local disk."
  type        = number
  default     = 4

  validation {
    condition     = var.database_free_storage_threshold_gb > 0
    error_message = "database_free_storage_threshold_gb must be above 0."
  }
}

variable "monthly_budget_limit" {
  description = "USD a month that the whole account may cost; 0 means no limit."
  type        = number
  default     = 0

  validation {
    condition     = var.monthly_budget_limit >= 0
    error_message = "monthly_budget_limit must be 0 or more."
  }
}

variable "budget_emails" {
  description = "Who hears of the budget beside the alerts topic."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.budget_emails) <= 10
    error_message = "A budget takes 10 addresses at most."
  }
}

variable "enable_budget" {
  description = "Whether there is a budget, where monthly_budget_limit is above 0."
  type        = bool
  default     = true
}

variable "enable_composite_alarm" {
  description = "Whether one alarm sums up all that stop syncs."
  type        = bool
  default     = true
}

variable "enable_query_definitions" {
  description = "Whether queries are kept in CloudWatch Logs Insights."
  type        = bool
  default     = true
}

variable "enable_xray_tracing" {
  description = "Whether the Lambda's traces have a group of their own."
  type        = bool
  default     = false
}
