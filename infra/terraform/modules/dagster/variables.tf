variable "name" {
  description = "Prefix of services and task definitions."
  type        = string
}

variable "tags" {
  description = "Tags of every resource; services hand them on to their tasks."
  type        = map(string)
  default     = {}
}

variable "region" {
  description = "Region of the log groups."
  type        = string
}

variable "cluster_name" {
  description = "Cluster of services and runs."
  type        = string
}

variable "namespace_id" {
  description = "Cloud Map namespace in which the code server is registered."
  type        = string
}

variable "namespace_name" {
  description = "Its DNS name."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the services."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of webserver, daemon and code."
  type        = map(string)
}

variable "role_arns" {
  description = "Roles of webserver, daemon, code, run and execution."
  type        = map(string)
}

variable "log_group_names" {
  description = "Log groups of webserver, daemon, code and run."
  type        = map(string)
}

variable "image" {
  description = "The project's image, for every task."
  type        = string
}

variable "cpu_architecture" {
  description = "Processor for which the image was built: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture must be X86_64 or ARM64."
  }
}

variable "run_task_family" {
  description = "Family of the runs' task definition."
  type        = string
}

variable "settings" {
  description = "The project's settings, the same for services and runs. ECS_TASK_DEFINITION is added here."
  type        = map(string)

  validation {
    condition = length(setintersection(
      keys(var.settings), ["SLACK_WEBHOOK_URL", "DAGSTER_POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY", "BOTTLE_REGISTRY_PASSWORD"],
    )) == 0
    error_message = "settings must hold no secret: everybody who may describe task definitions sees them."
  }
}

variable "secret_settings" {
  description = "Variables of every container whose values ECS takes out of secrets: name -> ARN of the secret."
  type        = map(string)
  default     = {}
}

variable "database" {
  description = "Dagster's database. secret_arn is a secret whose JSON has the password under `password`."
  type = object({
    host       = string
    port       = number
    name       = string
    username   = string
    secret_arn = string
  })
}

variable "compute_logs_bucket" {
  description = "Bucket for what runs print."
  type        = string
}

variable "service_sizes" {
  description = "CPU units and memory (MiB) of each service's task."
  type = object({
    webserver = object({ cpu = number, memory = number })
    daemon    = object({ cpu = number, memory = number })
    code      = object({ cpu = number, memory = number })
  })
  default = {
    webserver = { cpu = 512, memory = 1024 }
    daemon    = { cpu = 512, memory = 1024 }
    code      = { cpu = 512, memory = 1024 }
  }

  validation {
    condition = alltrue([
      for size in values(var.service_sizes) : contains(lookup({
        256  = [512, 1024, 2048]
        512  = [for gib in range(1, 5) : gib * 1024]
        1024 = [for gib in range(2, 9) : gib * 1024]
        2048 = [for gib in range(4, 17) : gib * 1024]
        4096 = [for gib in range(8, 31) : gib * 1024]
      }, size.cpu, []), size.memory)
    ])
    error_message = "service_sizes must be sizes of Fargate, such as 512 CPU units with 1024 to 4096 MiB."
  }
}

variable "efs" {
  description = "File system that runs mount for scratch, at /mnt/efs; null without one."
  type = object({
    file_system_id  = string
    access_point_id = string
  })
  default = null
}

variable "enable_execute_command" {
  description = "Whether SSM may forward the webserver's port; its root file system is then writable."
  type        = bool
  default     = true
}

variable "read_only_root_filesystem" {
  description = "Whether containers can write to /tmp only. The image must declare VOLUME /tmp: otherwise the volume mounted there belongs to root."
  type        = bool
  default     = true
}

variable "keep_task_definitions" {
  description = "Whether former revisions of task definitions stay ACTIVE, so that a deployment that is rolled back starts runs; they then stay after a destroy too."
  type        = bool
  default     = true
}

variable "enable_autoscaling" {
  description = "Whether webserver and code server are scaled by their CPU. The daemon is always one."
  type        = bool
  default     = false
}

variable "autoscaling_max_count" {
  description = "Most tasks of webserver and of code server."
  type        = number
  default     = 3

  validation {
    condition     = var.autoscaling_max_count >= 1 && var.autoscaling_max_count <= 10
    error_message = "autoscaling_max_count must be 1 to 10."
  }
}

variable "autoscaling_cpu_target" {
  description = "CPU in percent around which their number is held."
  type        = number
  default     = 70

  validation {
    condition     = var.autoscaling_cpu_target >= 20 && var.autoscaling_cpu_target <= 90
    error_message = "autoscaling_cpu_target must be 20 to 90 percent."
  }
}
