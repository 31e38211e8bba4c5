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
  description = "KMS key of storage, backups, logs and the password's secret; null means AWS's own keys. It cannot be changed later."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Private subnets in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must name subnets in two zones at least."
  }
}

variable "security_group_id" {
  description = "Security group of the database."
  type        = string
}

variable "engine" {
  description = "postgres: one RDS instance. aurora-postgresql: an Aurora cluster, which costs more and grows by itself."
  type        = string
  default     = "postgres"

  validation {
    condition     = contains(["postgres", "aurora-postgresql"], var.engine)
    error_message = "engine must be postgres or aurora-postgresql."
  }
}

variable "engine_version" {
  description = "PostgreSQL's major version; minor ones come by themselves in the maintenance window."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^(15|16|17|18)$", var.engine_version))
    error_message = "engine_version must be a major version from 15 to 18."
  }
}

variable "allow_major_version_upgrade" {
  description = "Let a new engine_version upgrade the database. It is down meanwhile and cannot go back."
  type        = bool
  default     = false
}

variable "instance_class" {
  description = "Size of the instance, or of each Aurora instance. db.serverless is Aurora's serverless v2."
  type        = string
  default     = "db.t4g.micro"

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_class)) || var.instance_class == "db.serverless"
    error_message = "instance_class must be a class such as db.t4g.micro, or db.serverless."
  }

  validation {
    condition     = var.engine == "aurora-postgresql" || var.instance_class != "db.serverless"
    error_message = "db.serverless needs engine aurora-postgresql."
  }

  validation {
    condition     = var.engine == "postgres" || !can(regex("\\.(micro|small)$", var.instance_class))
    error_message = "Aurora has no micro or small instances: use db.t4g.medium or db.serverless."
  }
}

variable "allocated_storage" {
  description = "GiB at the start. Not used by Aurora."
  type        = number
  default     = 20

  validation {
    condition     = var.allocated_storage >= 20 && var.allocated_storage <= 1000 && floor(var.allocated_storage) == var.allocated_storage
    error_message = "allocated_storage must be from 20 to 1000 GiB."
  }
}

variable "max_allocated_storage" {
  description = "GiB to which storage may grow by itself; 0 means that it does not grow. Not used by Aurora."
  type        = number
  default     = 100

  validation {
    condition     = var.max_allocated_storage == 0 || (10 * var.max_allocated_storage >= 11 * var.allocated_storage && var.max_allocated_storage <= 4000)
    error_message = "max_allocated_storage must be 0, or at least a tenth more than allocated_storage and 4000 GiB at most."
  }
}

variable "snapshot_identifier" {
  description = "Snapshot from which the database is made, by name or ARN; null makes an empty one. Looked at only when the database is made."
  type        = string
  default     = null

  validation {
    condition     = var.snapshot_identifier == null || can(regex("^(arn:[a-z-]+:rds:[a-z0-9-]+:[0-9]{12}:(cluster-)?snapshot:)?((rds|awsbackup):)?[A-Za-z][A-Za-z0-9-]{0,254}$", var.snapshot_identifier))
    error_message = "snapshot_identifier must be null, or a snapshot's name or ARN."
  }
}

variable "serverless_capacity" {
  description = "Aurora capacity units from which and to which db.serverless goes; each costs per hour."
  type = object({
    min = number
    max = number
  })
  default = { min = 0.5, max = 2 }

  validation {
    condition     = var.serverless_capacity.min >= 0.5 && var.serverless_capacity.max >= var.serverless_capacity.min && var.serverless_capacity.max <= 16
    error_message = "serverless_capacity must go from 0.5 or more to 16 at most."
  }
}

variable "multi_az" {
  description = "A standby in another zone (Aurora: a second instance). It doubles the price."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Refuse to delete the database. Without the database all history of runs is lost, the mirror is not."
  type        = bool
  default     = true
}

variable "skip_final_snapshot" {
  description = "Delete the database without a last snapshot."
  type        = bool
  default     = false
}

variable "backup_retention_days" {
  description = "Days that daily backups are kept; to any second of them the database can be restored."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35 && floor(var.backup_retention_days) == var.backup_retention_days
    error_message = "backup_retention_days must be from 1 to 35."
  }
}

variable "backup_window" {
  description = "Daily half hour or more for backups, UTC."
  type        = string
  default     = "22:00-22:30"

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$", var.backup_window))
    error_message = "backup_window must look like 22:00-22:30."
  }
}

variable "maintenance_window" {
  description = "Weekly window of maintenance, UTC; not when the weekly sync runs."
  type        = string
  default     = "wed:04:00-wed:05:00"

  validation {
    condition     = can(regex("^(mon|tue|wed|thu|fri|sat|sun):[0-2][0-9]:[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):[0-2][0-9]:[0-5][0-9]$", var.maintenance_window))
    error_message = "maintenance_window must look like wed:04:00-wed:05:00."
  }
}

variable "database_name" {
  description = "Name of Dagster's database."
  type        = string
  default     = "dagster"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.database_name))
    error_message = "database_name must be lower-case letters, digits and underscores, and start with a letter."
  }
}

variable "username" {
  description = "Role that owns the database. RDS makes its password and keeps it in a secret."
  type        = string
  default     = "dagster"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,15}$", var.username)) && !contains(["admin", "postgres", "rdsadmin", "user"], var.username)
    error_message = "username must be 16 lower-case letters, digits and underscores at most, and none of admin, postgres, rdsadmin, user."
  }
}

variable "password_rotation_days" {
  description = "Days after which RDS changes the password; null leaves RDS's own 7. Running tasks keep the old one and have to be started anew after each change."
  type        = number
  default     = null

  validation {
    condition     = var.password_rotation_days == null ? true : var.password_rotation_days >= 1 && var.password_rotation_days <= 1000
    error_message = "password_rotation_days must be from 1 to 1000."
  }
}

variable "enable_log_export" {
  description = "Send PostgreSQL's log to CloudWatch."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "Days that PostgreSQL's log is kept in CloudWatch."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs offers, such as 7, 30, 90 or 365."
  }
}

variable "enable_performance_insights" {
  description = "Performance Insights, with the 7 days that cost nothing."
  type        = bool
  default     = false
}

variable "monitoring_interval" {
  description = "Seconds between two readings of enhanced monitoring, which costs as log data; 0 means none."
  type        = number
  default     = 0

  validation {
    condition     = contains([0, 1, 5, 10, 15, 30, 60], var.monitoring_interval)
    error_message = "monitoring_interval must be 0, 1, 5, 10, 15, 30 or 60 seconds."
  }
}
