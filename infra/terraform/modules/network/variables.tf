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
  description = "KMS key of the flow logs' log group; null means CloudWatch's own encryption."
  type        = string
  default     = null
}

variable "vpc_cidr" {
  description = "Addresses of the VPC. It is split into 16 equal parts: private subnets take the first ones, public subnets those from the ninth."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 99) <= 22
    error_message = "vpc_cidr must be an IPv4 network between /16 and /22, such as 10.40.0.0/16."
  }

  validation {
    condition     = try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], false)
    error_message = "vpc_cidr must be written with the network's first address, such as 10.40.0.0/16."
  }
}

variable "az_count" {
  description = "Availability zones in use. The database needs two; every zone more costs interface endpoints, and a NAT gateway with nat_mode per_az."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3, 4], var.az_count)
    error_message = "az_count must be 2, 3 or 4."
  }
}

variable "nat_mode" {
  description = "How private subnets reach the internet, where bottles come from: none, single (one gateway for all zones) or per_az."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["none", "single", "per_az"], var.nat_mode)
    error_message = "nat_mode must be none, single or per_az."
  }
}

variable "enable_vpc_endpoints" {
  description = "Make interface endpoints, so that calls to AWS stay off the NAT gateway. Each costs per hour and zone. The gateway endpoint of S3 costs nothing and is always there."
  type        = bool
  default     = false
}

variable "interface_endpoints" {
  description = "Services that get an interface endpoint when enable_vpc_endpoints is on: the last parts of their names in this region."
  type        = set(string)
  default = [
    "ecr.api", "ecr.dkr", "ecs", "lambda", "logs", "monitoring", "secretsmanager", "sns", "sqs", "ssmmessages", "sts",
  ]

  validation {
    condition     = alltrue([for service in var.interface_endpoints : can(regex("^[a-z0-9.-]+$", service)) && service != "s3"])
    error_message = "interface_endpoints are names such as logs or ecr.api; s3 has a gateway endpoint already."
  }
}

variable "proxy_port" {
  description = "Port of the proxy through which everything goes out; null without one. 443 is open anyway."
  type        = number
  default     = null

  validation {
    condition     = var.proxy_port == null ? true : var.proxy_port >= 1 && var.proxy_port <= 65535
    error_message = "proxy_port must be 1 to 65535."
  }
}

variable "enable_flow_logs" {
  description = "Record who talked to whom in the VPC, in a log group of its own."
  type        = bool
  default     = true
}

variable "flow_log_retention_days" {
  description = "Days that flow logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_log_retention_days)
    error_message = "flow_log_retention_days must be a number of days that CloudWatch Logs offers, such as 7, 30, 90 or 365."
  }
}
