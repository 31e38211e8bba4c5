# Basics

variable "project_name" {
  description = "First part of every name."
  type        = string
  default     = "homebrew-bottles-sync"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project_name)) && length(var.project_name) <= 28
    error_message = "project_name must be at most 28 lower-case letters, digits and single hyphens, and begin with a letter."
  }
}

variable "environment" {
  description = "Name of this deployment, such as dev, staging or prod: the second part of every name, and the setting ENVIRONMENT. Two deployments in one account need two, since the metrics carry nothing else."
  type        = string
  default     = "prod"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,10}$", var.environment))
    error_message = "environment must be 2 to 11 lower-case letters and digits, such as dev, staging or prod."
  }
}

variable "aws_region" {
  description = "Region of everything: the setting AWS_REGION."
  type        = string
  default     = "us-west-2"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region must be a region's code, such as us-west-2."
  }
}

variable "tags" {
  description = "Tags of everything, beside Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.tags : can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$", key)) && can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,256}$", value)) && !startswith(lower(key), "aws:")])
    error_message = "tags must be as AWS takes them: keys of 1 to 128 and values of up to 256 letters, digits, spaces and _.:/=+@-, and no key that begins with aws:."
  }

  validation {
    condition     = length(var.tags) <= 40
    error_message = "tags must be at most 40: AWS takes 50 on a resource, and Terraform and ECS add theirs."
  }
}

# Image

variable "ecs_container_image" {
  description = "The project's image in ECR, in this region; runs, services and the Lambda take it. Empty means image_tag of a repository that is made here. A tag that moves needs a new deployment to be noticed: better a version, or a digest."
  type        = string
  default     = ""

  validation {
    # Lambda takes images of its own region's ECR only.
    condition     = var.ecs_container_image == "" || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.${var.aws_region}\\.amazonaws\\.com/[^:@]+([:@].+)$", var.ecs_container_image))
    error_message = "ecs_container_image must be empty, or an image in ECR in aws_region with its tag or digest: 123456789012.dkr.ecr.<region>.amazonaws.com/name:tag."
  }
}

variable "image_tag" {
  description = "Tag of the image in the repository that is made here, where ecs_container_image is empty."
  type        = string
  default     = "0.1.0"

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag must be a tag that does not move: tags of the repository cannot be overwritten."
  }
}

variable "ecr_keep_images" {
  description = "Images that the repository keeps: more than the versions to which a rollback may go."
  type        = number
  default     = 30

  validation {
    # An expired image that is still in use cannot be pulled any more.
    condition     = var.ecr_keep_images >= 5 && var.ecr_keep_images <= 1000 && floor(var.ecr_keep_images) == var.ecr_keep_images
    error_message = "ecr_keep_images must be a whole number from 5 to 1000."
  }
}

variable "ecr_force_delete" {
  description = "Whether destroy deletes the repository with its images."
  type        = bool
  default     = false
}

variable "cpu_architecture" {
  description = "Processor for which the image was built: X86_64, or ARM64, which costs a fifth less."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture must be X86_64 or ARM64."
  }
}

# What is mirrored, and how

variable "target_platforms" {
  description = "Platforms to mirror for, as Homebrew's tags: the setting TARGET_PLATFORMS. The default are the three newest macOS on Apple silicon. The specification's arm64_sonoma, arm64_ventura and monterey are accepted as well; of the last two Homebrew makes no new bottles: 3,021 and 2,384 of them remained in August 2026, beside 8,202 for arm64_sonoma."
  type        = list(string)
  default     = ["arm64_tahoe", "arm64_sequoia", "arm64_sonoma"]

  validation {
    condition     = length(var.target_platforms) > 0 && alltrue([for tag in var.target_platforms : can(regex("^[a-z0-9_]+$", tag))]) && length(distinct(var.target_platforms)) == length(var.target_platforms)
    error_message = "target_platforms must be one tag or more, each once, such as arm64_sonoma."
  }
}

variable "size_threshold_gb" {
  description = "Plans that download less than so many GB go through Lambda, others through ECS: the setting SIZE_THRESHOLD_GB. 0 means that nothing goes through Lambda."
  type        = number
  default     = 20

  validation {
    condition     = var.size_threshold_gb >= 0 && var.size_threshold_gb <= 1000000
    error_message = "size_threshold_gb must be 0 to 1,000,000."
  }
}

variable "max_concurrent_downloads" {
  description = "Bottles downloaded at the same time by one run, or by one Lambda: the setting MAX_CONCURRENT_DOWNLOADS."
  type        = number
  default     = 10

  validation {
    condition     = var.max_concurrent_downloads >= 1 && var.max_concurrent_downloads <= 256 && floor(var.max_concurrent_downloads) == var.max_concurrent_downloads
    error_message = "max_concurrent_downloads must be a whole number from 1 to 256."
  }
}

variable "download_concurrency" {
  description = "The same for a run in ECS; 0 means max_concurrent_downloads: the setting DOWNLOAD_CONCURRENCY."
  type        = number
  default     = 0

  validation {
    condition     = var.download_concurrency >= 0 && var.download_concurrency <= 256 && floor(var.download_concurrency) == var.download_concurrency
    error_message = "download_concurrency must be a whole number from 0 to 256."
  }
}

variable "download_timeout_seconds" {
  description = "Longest silence of upstream or store before a try fails: the setting DOWNLOAD_TIMEOUT_SECONDS."
  type        = number
  default     = 300

  validation {
    condition     = var.download_timeout_seconds > 0 && var.download_timeout_seconds <= 86400
    error_message = "download_timeout_seconds must be above 0 and at most 86,400."
  }
}

variable "retry_attempts" {
  description = "Tries of one bottle after the first: the setting RETRY_ATTEMPTS."
  type        = number
  default     = 3

  validation {
    condition     = var.retry_attempts >= 0 && var.retry_attempts <= 100 && floor(var.retry_attempts) == var.retry_attempts
    error_message = "retry_attempts must be a whole number from 0 to 100."
  }
}

variable "retry_delay_seconds" {
  description = "Longest wait before the first retry; doubles with each: the setting RETRY_DELAY_SECONDS."
  type        = number
  default     = 30

  validation {
    condition     = var.retry_delay_seconds >= 0 && var.retry_delay_seconds <= 3600
    error_message = "retry_delay_seconds must be 0 to 3600."
  }
}

variable "batch_size" {
  description = "Bottles after which their receipts are written: the setting BATCH_SIZE."
  type        = number
  default     = 50

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number from 1 to 10,000."
  }
}

variable "max_download_size_gb" {
  description = "A run that would download more GB is refused before a byte moves; 0 means no limit: the setting MAX_DOWNLOAD_SIZE_GB."
  type        = number
  default     = 0

  validation {
    condition     = var.max_download_size_gb >= 0 && var.max_download_size_gb <= 1000000
    error_message = "max_download_size_gb must be 0 to 1,000,000."
  }
}

variable "include_disabled" {
  description = "Whether bottles of disabled formulae are mirrored too: the setting INCLUDE_DISABLED."
  type        = bool
  default     = false
}

variable "progress_update_interval" {
  description = "Seconds between two records, and messages, of a transfer's progress: the setting PROGRESS_UPDATE_INTERVAL."
  type        = number
  default     = 300

  validation {
    condition     = var.progress_update_interval > 0 && var.progress_update_interval <= 86400
    error_message = "progress_update_interval must be above 0 and at most 86,400 seconds."
  }
}

variable "external_hash_file_s3_key" {
  description = "Key of an external hash file in S3, whose bottles are not downloaded: the setting EXTERNAL_HASH_FILE_S3_KEY."
  type        = string
  default     = ""

  validation {
    # It becomes a resource of the run role's policy, where these would name more than one object.
    condition     = var.external_hash_file_s3_key == "" || (length(var.external_hash_file_s3_key) <= 1024 && can(regex("^[^/\\s*?$][^*?$\\r\\n]*$", var.external_hash_file_s3_key)))
    error_message = "external_hash_file_s3_key must be empty, or a key of at most 1024 characters that does not begin with a slash and holds no *, ? or $."
  }
}

variable "external_hash_file_s3_bucket" {
  description = "Its bucket; empty means the mirror's own: the setting EXTERNAL_HASH_FILE_S3_BUCKET."
  type        = string
  default     = ""

  validation {
    condition     = var.external_hash_file_s3_bucket == "" || var.external_hash_file_s3_key != ""
    error_message = "external_hash_file_s3_bucket needs external_hash_file_s3_key."
  }

  validation {
    condition     = var.external_hash_file_s3_bucket == "" || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.external_hash_file_s3_bucket))
    error_message = "external_hash_file_s3_bucket must be empty, or the name of a bucket."
  }
}

variable "external_hash_file_url" {
  description = "HTTPS address of an external hash file: the setting EXTERNAL_HASH_FILE_URL. Everybody who may describe task definitions sees it: no signed address."
  type        = string
  default     = ""

  validation {
    condition     = var.external_hash_file_url == "" || can(regex("^https://[^?\\s]+$", var.external_hash_file_url))
    error_message = "external_hash_file_url must be empty, or an https address without a query, which may hold a secret."
  }
}

variable "mirror_formulae" {
  description = "Formulae that the mirror is meant to hold, by their names, empty for all: the setting MIRROR_FORMULAE."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.mirror_formulae : can(regex("^[A-Za-z0-9@+._-]+$", name))])
    error_message = "mirror_formulae must be names of formulae, such as node@20."
  }
}

variable "include_dependencies" {
  description = "Whether formulae that are named bring what they need at run time: the setting INCLUDE_DEPENDENCIES."
  type        = bool
  default     = true
}

variable "exclude_formulae" {
  description = "Formulae to leave out, by their names: the setting EXCLUDE_FORMULAE."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.exclude_formulae : can(regex("^[A-Za-z0-9@+._-]+$", name))])
    error_message = "exclude_formulae must be names of formulae, such as node@20."
  }
}

variable "extra_settings" {
  description = "Further settings of the project by the names of their variables, for services, runs and the Lambda."
  type        = map(string)
  default     = {}

  validation {
    # What Terraform sets itself has a variable of its own, and nothing secret belongs here.
    condition = length(setsubtract(keys(var.extra_settings), [
      "BOTTLE_CDN_HOSTS", "BOTTLE_REGISTRY_URL", "FORMULAE_API_URL", "MAX_TRANSFER_PROCESSES",
    ])) == 0
    error_message = "extra_settings may hold BOTTLE_CDN_HOSTS, BOTTLE_REGISTRY_URL, FORMULAE_API_URL and MAX_TRANSFER_PROCESSES; the other settings are variables."
  }
}

# What clients are served

variable "publish" {
  description = "When a sync's publication becomes current: strict when nothing lacks that the mirror is meant to hold, best_effort always, off never, and then no signed API is fetched: the setting PUBLISH."
  type        = string
  default     = "strict"

  validation {
    condition     = contains(["strict", "best_effort", "off"], var.publish)
    error_message = "publish must be strict, best_effort or off."
  }
}

variable "publish_max_upstream" {
  description = "Bottles that upstream itself cannot serve and that may lack in a strict publication: the setting PUBLISH_MAX_UPSTREAM."
  type        = number
  default     = 50

  validation {
    condition     = var.publish_max_upstream >= 0 && var.publish_max_upstream <= 1000000 && floor(var.publish_max_upstream) == var.publish_max_upstream
    error_message = "publish_max_upstream must be a whole number from 0 to 1,000,000."
  }
}

variable "publish_max_missing" {
  description = "Other bottles that may lack in a strict publication: the setting PUBLISH_MAX_MISSING."
  type        = number
  default     = 0

  validation {
    condition     = var.publish_max_missing >= 0 && var.publish_max_missing <= 1000000 && floor(var.publish_max_missing) == var.publish_max_missing
    error_message = "publish_max_missing must be a whole number from 0 to 1,000,000."
  }
}

variable "api_tags" {
  description = "Tags whose signed API files are mirrored besides those of target_platforms: the setting API_TAGS."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for tag in var.api_tags : can(regex("^[a-z0-9_]+$", tag))]) && length(distinct(var.api_tags)) == length(var.api_tags)
    error_message = "api_tags must be tags, each once, such as x86_64_linux."
  }
}

variable "api_public_key" {
  description = "PEM files in the image with the public keys of the API's signatures, each named by its key's id (/opt/company/homebrew-2.pem); empty for Homebrew's own key, which the image has: the setting API_PUBLIC_KEY."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for path in var.api_public_key : can(regex("^/[^\\s,]+$", path))]) && length(distinct(var.api_public_key)) == length(var.api_public_key)
    error_message = "api_public_key must be absolute paths in the image, each once."
  }
}

variable "api_consistency_wait_seconds" {
  description = "How long API files of different generations are asked for again before nothing is published: the setting API_CONSISTENCY_WAIT_SECONDS."
  type        = number
  default     = 120

  validation {
    condition     = var.api_consistency_wait_seconds >= 0 && var.api_consistency_wait_seconds <= 3600
    error_message = "api_consistency_wait_seconds must be 0 to 3600."
  }
}

# The network around it

variable "https_proxy" {
  description = "Proxy of services, runs and the Lambda, which then stands in the VPC: the setting HTTPS_PROXY. Without user and password, which belong into https_proxy_secret_arn. Its port is opened in security groups and network ACLs."
  type        = string
  default     = ""

  validation {
    condition     = var.https_proxy == "" || can(regex("^https?://[A-Za-z0-9.-]+:[0-9]{1,5}/?$", var.https_proxy))
    error_message = "https_proxy must be empty, or http://host:port without user and password."
  }
}

variable "https_proxy_secret_arn" {
  description = "Secret in Secrets Manager whose text is the proxy's address with user and password. It takes the place of https_proxy, which names the same proxy without them."
  type        = string
  default     = ""

  validation {
    condition     = var.https_proxy_secret_arn == "" || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$", var.https_proxy_secret_arn))
    error_message = "https_proxy_secret_arn must be empty, or the whole ARN of a secret."
  }

  validation {
    condition     = var.https_proxy_secret_arn == "" || var.https_proxy != ""
    error_message = "https_proxy_secret_arn needs https_proxy too: it says which port has to be open."
  }
}

variable "http_proxy" {
  description = "Proxy for plain http addresses: the setting HTTP_PROXY. Nothing of the mirror itself is plain http."
  type        = string
  default     = ""

  validation {
    condition     = var.http_proxy == "" || can(regex("^http://[A-Za-z0-9.-]+:[0-9]{1,5}/?$", var.http_proxy))
    error_message = "http_proxy must be empty, or http://host:port without user and password."
  }
}

variable "no_proxy" {
  description = "Hosts, domains (.example.org), addresses and networks that are reached without the proxy, beside those that never need it (settings.tf): the setting NO_PROXY."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for entry in var.no_proxy : can(regex("^[A-Za-z0-9.:/_-]+$", entry))])
    error_message = "no_proxy must be hosts, domains, addresses or networks, one in each entry."
  }
}

variable "ca_bundle_secret_arn" {
  description = "Secret in Secrets Manager whose text is certificates (PEM) that everything trusts besides the system's: a private CA, or that of a proxy which looks into TLS."
  type        = string
  default     = ""

  validation {
    condition     = var.ca_bundle_secret_arn == "" || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$", var.ca_bundle_secret_arn))
    error_message = "ca_bundle_secret_arn must be empty, or the whole ARN of a secret."
  }
}

variable "ca_bundle_file" {
  description = "File in the image with such certificates; besides the secret, or in its place."
  type        = string
  default     = ""

  validation {
    condition     = var.ca_bundle_file == "" || can(regex("^/[^\\s]+$", var.ca_bundle_file))
    error_message = "ca_bundle_file must be empty, or an absolute path in the image."
  }
}

variable "bottle_registry_secret_arn" {
  description = "Secret in Secrets Manager with the registry's user, as JSON with username and password; runs and the Lambda read it: the setting BOTTLE_REGISTRY_SECRET_NAME. The registry's address and hosts: extra_settings."
  type        = string
  default     = ""

  validation {
    condition     = var.bottle_registry_secret_arn == "" || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$", var.bottle_registry_secret_arn))
    error_message = "bottle_registry_secret_arn must be empty, or the whole ARN of a secret."
  }
}

variable "own_secrets_kms_key_arns" {
  description = "Keys with which the secrets of https_proxy_secret_arn, ca_bundle_secret_arn and bottle_registry_secret_arn are encrypted, where these are not AWS's own."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.own_secrets_kms_key_arns : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "own_secrets_kms_key_arns must be ARNs of keys: arn:aws:kms:<region>:<account>:key/<id>."
  }
}

# When

variable "schedule_expression" {
  description = "When the weekly sync starts (UTC), for Dagster's schedule, the only scheduler: AWS's cron(…) or five cron fields; the setting SCHEDULE_EXPRESSION."
  type        = string
  default     = "cron(0 3 ? * SUN *)"

  validation {
    condition     = can(regex("^cron\\(\\S+( \\S+){5}\\)$", var.schedule_expression)) || can(regex("^\\S+( \\S+){4}$", var.schedule_expression))
    error_message = "schedule_expression must be cron(minute hour day month weekday year) or five cron fields; rate() names no day and time."
  }
}

variable "schedule_enabled" {
  description = "Whether schedule and sensors run as soon as they are deployed: the setting SCHEDULE_ENABLED."
  type        = bool
  default     = true
}

variable "sync_window_hours" {
  description = "Hours after its scheduled time in which a sync must have ended; otherwise a message says so: the setting SYNC_WINDOW_HOURS."
  type        = number
  default     = 12

  validation {
    condition     = var.sync_window_hours > 0 && var.sync_window_hours <= 168
    error_message = "sync_window_hours must be above 0 and at most 168."
  }
}

variable "event_bus" {
  description = "Bus on which events start syncs; default is the account's own, any other word makes one. Two deployments on one bus both hear every event."
  type        = string
  default     = "default"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,63}$", var.event_bus))
    error_message = "event_bus must be default, or a word of lower-case letters, digits and hyphens."
  }
}

# Storage

variable "s3_bucket_name" {
  description = "The mirror's bucket, made here; unique in the world: the setting S3_BUCKET_NAME."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,56}[a-z0-9]$", var.s3_bucket_name))
    error_message = "s3_bucket_name must be 3 to 58 lower-case letters, digits and hyphens."
  }
}

variable "enable_s3_versioning" {
  description = "Whether replaced and deleted objects are kept for s3_noncurrent_version_expiration_days."
  type        = bool
  default     = true
}

variable "s3_lifecycle_expiration_days" {
  description = "Days after which objects expire that are tagged as superseded (mirror-superseded=true). Nothing else ever expires."
  type        = number
  default     = 365

  validation {
    condition     = var.s3_lifecycle_expiration_days >= 1 && floor(var.s3_lifecycle_expiration_days) == var.s3_lifecycle_expiration_days
    error_message = "s3_lifecycle_expiration_days must be a whole number of 1 or more."
  }
}

variable "s3_noncurrent_version_expiration_days" {
  description = "Days that replaced and deleted versions are kept."
  type        = number
  default     = 90

  validation {
    condition     = var.s3_noncurrent_version_expiration_days >= 1 && floor(var.s3_noncurrent_version_expiration_days) == var.s3_noncurrent_version_expiration_days
    error_message = "s3_noncurrent_version_expiration_days must be a whole number of 1 or more."
  }
}

variable "s3_transition_days" {
  description = "Days after which bottles move to s3_transition_storage_class; 0 means never."
  type        = number
  default     = 30

  validation {
    condition     = var.s3_transition_days >= 0 && floor(var.s3_transition_days) == var.s3_transition_days
    error_message = "s3_transition_days must be a whole number, 0 or more."
  }

  validation {
    condition     = var.s3_transition_days == 0 || var.s3_transition_days >= 30 || var.s3_transition_storage_class != "STANDARD_IA"
    error_message = "s3_transition_days must be 0, or 30 or more: S3 moves nothing to STANDARD_IA earlier."
  }
}

variable "s3_transition_storage_class" {
  description = "Cheaper storage that is read at once: INTELLIGENT_TIERING, STANDARD_IA or GLACIER_IR."
  type        = string
  default     = "INTELLIGENT_TIERING"

  validation {
    condition     = contains(["INTELLIGENT_TIERING", "STANDARD_IA", "GLACIER_IR"], var.s3_transition_storage_class)
    error_message = "s3_transition_storage_class must be INTELLIGENT_TIERING, STANDARD_IA or GLACIER_IR: others are not read at once."
  }
}

variable "enable_s3_transfer_acceleration" {
  description = "Whether uploads take S3's accelerated address, which costs per GB: bucket and the setting S3_ACCELERATE."
  type        = bool
  default     = false
}

variable "s3_replication" {
  description = "Copies every new object to a versioned bucket in another region; null means no replication. kms_key_arn is the key there."
  type = object({
    bucket_arn    = string
    kms_key_arn   = optional(string)
    storage_class = optional(string, "STANDARD_IA")
  })
  default = null

  validation {
    condition     = var.s3_replication == null || can(regex("^arn:[a-z-]+:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.s3_replication.bucket_arn))
    error_message = "s3_replication.bucket_arn must be a bucket's ARN, such as arn:aws:s3:::my-replica."
  }

  validation {
    condition     = try(var.s3_replication.kms_key_arn, null) == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.s3_replication.kms_key_arn))
    error_message = "s3_replication.kms_key_arn must be a key's ARN."
  }

  validation {
    condition     = var.s3_replication == null || contains(["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], try(var.s3_replication.storage_class, ""))
    error_message = "s3_replication.storage_class must be STANDARD, STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }

  validation {
    condition     = var.s3_replication == null || var.enable_s3_versioning
    error_message = "s3_replication needs enable_s3_versioning."
  }

  validation {
    condition     = var.s3_replication == null || var.kms_key_id == "" || try(var.s3_replication.kms_key_arn, null) != null
    error_message = "s3_replication.kms_key_arn is needed when kms_key_id encrypts the bucket."
  }
}

variable "s3_access_log_bucket" {
  description = "Existing bucket for the access log of the mirror's; empty makes one."
  type        = string
  default     = ""

  validation {
    condition     = var.s3_access_log_bucket == "" || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.s3_access_log_bucket))
    error_message = "s3_access_log_bucket must be empty, or the name of a bucket."
  }
}

variable "s3_force_destroy" {
  description = "Whether destroy deletes the bucket with all bottles, and the trail's with its records."
  type        = bool
  default     = false
}

variable "enforce_tls" {
  description = "Whether bucket, queues and topics refuse requests without TLS. Off only for servers that do not understand the condition."
  type        = bool
  default     = true
}

variable "kms_key_id" {
  description = "KMS key of the mirror's objects, as ARN or id; empty means AES256, S3's own keys: the settings S3_SSE and S3_KMS_KEY_ID."
  type        = string
  default     = ""

  validation {
    condition     = var.kms_key_id == "" || can(regex("^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/)?(mrk-)?[0-9a-f-]{32,36}$", var.kms_key_id))
    error_message = "kms_key_id must be empty, a key's ARN or a key's id: policies cannot name an alias."
  }
}

# Tasks

variable "ecs_task_cpu" {
  description = "CPU units of the largest transfer: the last row of the setting ECS_TASK_SIZES. Smaller ones get smaller tasks."
  type        = number
  default     = 4096

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.ecs_task_cpu)
    error_message = "ecs_task_cpu must be 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "ecs_task_memory" {
  description = "Memory (MiB) of the largest transfer."
  type        = number
  default     = 8192

  validation {
    condition = contains(lookup({
      256   = [512, 1024, 2048]
      512   = [for gib in range(1, 5) : gib * 1024]
      1024  = [for gib in range(2, 9) : gib * 1024]
      2048  = [for gib in range(4, 17) : gib * 1024]
      4096  = [for gib in range(8, 31) : gib * 1024]
      8192  = [for gib in range(16, 61, 4) : gib * 1024]
      16384 = [for gib in range(32, 121, 8) : gib * 1024]
    }, var.ecs_task_cpu, []), var.ecs_task_memory)
    error_message = "ecs_task_memory must be what Fargate has for ecs_task_cpu: 1024 CPU units with 2048 to 8192 MiB, 4096 with 8192 to 30720."
  }
}

variable "ecs_ephemeral_storage_size_gb" {
  description = "Disk (GiB) of the largest transfer. The engine keeps no temporary files: 21, the least, is enough; what is more is paid for."
  type        = number
  default     = 21

  validation {
    condition     = var.ecs_ephemeral_storage_size_gb >= 21 && var.ecs_ephemeral_storage_size_gb <= 200 && floor(var.ecs_ephemeral_storage_size_gb) == var.ecs_ephemeral_storage_size_gb
    error_message = "ecs_ephemeral_storage_size_gb must be 21 to 200."
  }
}

variable "ecs_task_sizes" {
  description = "The whole setting ECS_TASK_SIZES, in the place of the rows made from ecs_task_cpu, ecs_task_memory and ecs_ephemeral_storage_size_gb; empty means those."
  type        = string
  default     = ""

  validation {
    condition     = var.ecs_task_sizes == "" || can(regex("^([0-9.]+:[0-9]+:[0-9]+:[0-9]+,)*\\*:[0-9]+:[0-9]+:[0-9]+$", var.ecs_task_sizes))
    error_message = "ecs_task_sizes must be rows of up-to-GB:CPU units:memory MiB:storage GiB, the last for *."
  }
}

variable "ecs_enable_fargate_spot" {
  description = "Whether transfers may go to Fargate Spot; an interrupted one goes on from where it was."
  type        = bool
  default     = false
}

variable "ecs_spot_percent" {
  description = "Share of the transfers that do, with ecs_enable_fargate_spot: the setting ECS_SPOT_PERCENT."
  type        = number
  default     = 70

  validation {
    condition     = var.ecs_spot_percent >= 1 && var.ecs_spot_percent <= 100 && floor(var.ecs_spot_percent) == var.ecs_spot_percent
    error_message = "ecs_spot_percent must be a whole number from 1 to 100."
  }
}

variable "service_sizes" {
  description = "CPU units and memory (MiB) of webserver, daemon and code server."
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

variable "keep_task_definitions" {
  description = "Whether former revisions of task definitions stay ACTIVE, so that a deployment that is rolled back starts runs; they then stay after a destroy too."
  type        = bool
  default     = true
}

variable "enable_autoscaling" {
  description = "Whether webserver and code server are scaled by their CPU; the daemon is always one."
  type        = bool
  default     = false
}

variable "autoscaling_max_count" {
  description = "Most tasks of each, with enable_autoscaling."
  type        = number
  default     = 3

  validation {
    condition     = var.autoscaling_max_count >= 1 && var.autoscaling_max_count <= 10 && floor(var.autoscaling_max_count) == var.autoscaling_max_count
    error_message = "autoscaling_max_count must be a whole number from 1 to 10."
  }
}

variable "enable_execute_command" {
  description = "Whether SSM may forward the webserver's port to a person's machine, the only way to the UI. The webserver's root file system is writable then."
  type        = bool
  default     = true
}

variable "webserver_may_end_runs" {
  description = "Whether the webserver's role may stop tasks of runs, so that people can terminate runs in the UI. false leaves it a role that can only read."
  type        = bool
  default     = true
}

variable "read_only_root_filesystem" {
  description = "Whether containers can write to /tmp only. The image must declare VOLUME /tmp."
  type        = bool
  default     = true
}

variable "dagster_url" {
  description = "Address under which people reach the webserver, for links in messages: the setting DAGSTER_URL. With port forwarding http://127.0.0.1:3000."
  type        = string
  default     = ""

  validation {
    condition     = var.dagster_url == "" || can(regex("^https?://[^\\s]+$", var.dagster_url))
    error_message = "dagster_url must be empty, or an http or https address."
  }
}

# Lambda

variable "lambda_sync_memory_size" {
  description = "MB of the Lambda that copies batches."
  type        = number
  default     = 1024

  validation {
    condition     = var.lambda_sync_memory_size >= 512 && var.lambda_sync_memory_size <= 10240 && floor(var.lambda_sync_memory_size) == var.lambda_sync_memory_size
    error_message = "lambda_sync_memory_size must be 512 to 10,240 MB."
  }
}

variable "lambda_sync_timeout" {
  description = "Seconds until an invocation is killed."
  type        = number
  default     = 900

  validation {
    condition     = var.lambda_sync_timeout >= 60 && var.lambda_sync_timeout <= 900 && floor(var.lambda_sync_timeout) == var.lambda_sync_timeout
    error_message = "lambda_sync_timeout must be a whole number from 60 to 900 seconds."
  }
}

variable "lambda_concurrency" {
  description = "Invocations of one run at the same time: the setting LAMBDA_CONCURRENCY. Three runs go through Lambda at a time."
  type        = number
  default     = 10

  validation {
    condition     = var.lambda_concurrency >= 1 && var.lambda_concurrency <= 1000 && floor(var.lambda_concurrency) == var.lambda_concurrency
    error_message = "lambda_concurrency must be a whole number from 1 to 1000."
  }
}

variable "lambda_reserved_concurrency" {
  description = "Most invocations of the Lambda at the same time, taken from the account's; -1 reserves none."
  type        = number
  default     = -1

  validation {
    condition     = (var.lambda_reserved_concurrency == -1 || var.lambda_reserved_concurrency >= 1) && floor(var.lambda_reserved_concurrency) == var.lambda_reserved_concurrency
    error_message = "lambda_reserved_concurrency must be -1, or a whole number of 1 or more: 0 would switch the Lambda off."
  }
}

# Network

variable "vpc_cidr" {
  description = "Addresses of the VPC."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 99) <= 22
    error_message = "vpc_cidr must be an IPv4 network from /16 to /22, such as 10.40.0.0/16."
  }

  validation {
    condition     = try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], false)
    error_message = "vpc_cidr must be written with the network's first address, such as 10.40.0.0/16."
  }
}

variable "az_count" {
  description = "Availability zones in use."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3, 4], var.az_count)
    error_message = "az_count must be 2, 3 or 4."
  }
}

variable "nat_mode" {
  description = "How tasks reach the registry: single (one NAT gateway), per_az, or none (no way out: nothing can be mirrored through ECS)."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["none", "single", "per_az"], var.nat_mode)
    error_message = "nat_mode must be none, single or per_az."
  }
}

variable "enable_vpc_endpoints" {
  description = "Whether calls to AWS stay off the NAT gateway. Each interface endpoint costs per hour and zone; the gateway endpoint of S3 costs nothing and is always there."
  type        = bool
  default     = false
}

variable "enable_flow_logs" {
  description = "Whether the VPC's connections are recorded."
  type        = bool
  default     = true
}

# Scratch on EFS

variable "enable_efs_storage" {
  description = "Whether runs mount a file system at /mnt/efs, for temporary files of Python (TMPDIR). Off: the engine keeps none, and Dagster keeps compute logs in /tmp until they are uploaded."
  type        = bool
  default     = false
}

variable "efs_performance_mode" {
  description = "generalPurpose or maxIO."
  type        = string
  default     = "generalPurpose"

  validation {
    condition     = contains(["generalPurpose", "maxIO"], var.efs_performance_mode)
    error_message = "efs_performance_mode must be generalPurpose or maxIO."
  }
}

variable "efs_throughput_mode" {
  description = "elastic, bursting or provisioned."
  type        = string
  default     = "elastic"

  validation {
    condition     = contains(["elastic", "bursting", "provisioned"], var.efs_throughput_mode)
    error_message = "efs_throughput_mode must be elastic, bursting or provisioned."
  }

  validation {
    condition     = var.efs_throughput_mode != "elastic" || var.efs_performance_mode != "maxIO"
    error_message = "efs_throughput_mode elastic needs efs_performance_mode generalPurpose."
  }
}

variable "efs_provisioned_throughput" {
  description = "MiB/s with efs_throughput_mode provisioned, at about 6 USD a month each."
  type        = number
  default     = null

  validation {
    condition     = var.efs_provisioned_throughput == null ? true : var.efs_provisioned_throughput >= 1 && var.efs_provisioned_throughput <= 1024
    error_message = "efs_provisioned_throughput must be from 1 to 1024 MiB/s."
  }

  validation {
    condition     = var.efs_throughput_mode != "provisioned" || var.efs_provisioned_throughput != null
    error_message = "efs_provisioned_throughput is needed with efs_throughput_mode provisioned."
  }
}

variable "enable_efs_backup" {
  description = "Whether AWS Backup keeps the file system. It is scratch: nothing there is missed."
  type        = bool
  default     = false
}

# Database

variable "database_engine" {
  description = "postgres, or aurora-postgresql."
  type        = string
  default     = "postgres"

  validation {
    condition     = contains(["postgres", "aurora-postgresql"], var.database_engine)
    error_message = "database_engine must be postgres or aurora-postgresql."
  }
}

variable "database_instance_class" {
  description = "Size of the database."
  type        = string
  default     = "db.t4g.micro"

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.database_instance_class)) || var.database_instance_class == "db.serverless"
    error_message = "database_instance_class must be a class such as db.t4g.micro, or db.serverless."
  }

  validation {
    condition     = var.database_engine == "aurora-postgresql" || var.database_instance_class != "db.serverless"
    error_message = "database_instance_class db.serverless needs database_engine aurora-postgresql."
  }

  validation {
    condition     = var.database_engine != "aurora-postgresql" || !can(regex("\\.(micro|small)$", var.database_instance_class))
    error_message = "database_instance_class micro or small does not exist in Aurora: use db.t4g.medium or db.serverless."
  }
}

variable "database_allocated_storage" {
  description = "GiB of the database's disk at the start; it grows to database_max_allocated_storage by itself. Not used by Aurora."
  type        = number
  default     = 20

  validation {
    condition     = var.database_allocated_storage >= 20 && var.database_allocated_storage <= 1000 && floor(var.database_allocated_storage) == var.database_allocated_storage
    error_message = "database_allocated_storage must be a whole number from 20 to 1000 GiB."
  }
}

variable "database_max_allocated_storage" {
  description = "GiB to which the database's disk grows by itself; 0 means that it does not. null: 100, or twice database_allocated_storage where that is more."
  type        = number
  default     = null

  validation {
    # RDS wants a tenth more at least.
    condition = var.database_max_allocated_storage == null || try(var.database_max_allocated_storage == 0 || (
      10 * var.database_max_allocated_storage >= 11 * var.database_allocated_storage && var.database_max_allocated_storage <= 4000
    ), false)
    error_message = "database_max_allocated_storage must be null, 0, or at least a tenth more than database_allocated_storage and 4000 GiB at most."
  }
}

variable "database_snapshot_identifier" {
  description = "Snapshot from which the database is made, by name or ARN; empty means an empty database. Looked at only when the database is made: a database that is there stays. The snapshot must be encrypted with the key of this deployment."
  type        = string
  default     = ""

  validation {
    condition     = var.database_snapshot_identifier == "" || can(regex("^(arn:[a-z-]+:rds:[a-z0-9-]+:[0-9]{12}:(cluster-)?snapshot:)?((rds|awsbackup):)?[A-Za-z][A-Za-z0-9-]{0,254}$", var.database_snapshot_identifier))
    error_message = "database_snapshot_identifier must be empty, or a snapshot's name, such as rds:homebrew-bottles-sync-prod-database-2026-11-22-22-05, or its ARN."
  }
}

variable "database_multi_az" {
  description = "Whether a second zone has a standby, at double the price."
  type        = bool
  default     = false
}

variable "database_deletion_protection" {
  description = "Whether AWS refuses to delete the database."
  type        = bool
  default     = true
}

variable "database_skip_final_snapshot" {
  description = "Whether destroy deletes the database without a last snapshot."
  type        = bool
  default     = false
}

variable "database_backup_retention_days" {
  description = "Days that the database can be restored to any second of."
  type        = number
  default     = 7

  validation {
    condition     = var.database_backup_retention_days >= 1 && var.database_backup_retention_days <= 35 && floor(var.database_backup_retention_days) == var.database_backup_retention_days
    error_message = "database_backup_retention_days must be a whole number from 1 to 35."
  }
}

variable "database_password_rotation_days" {
  description = "Days after which RDS changes the password; null leaves RDS's own 7. Services whose password is old are replaced by their health check."
  type        = number
  default     = null

  validation {
    condition     = var.database_password_rotation_days == null ? true : var.database_password_rotation_days >= 1 && var.database_password_rotation_days <= 1000 && floor(var.database_password_rotation_days) == var.database_password_rotation_days
    error_message = "database_password_rotation_days must be a whole number from 1 to 1000."
  }
}

# Messages

variable "enable_notifications" {
  description = "Whether messages are sent; false silences Slack and SNS: the setting ENABLE_NOTIFICATIONS."
  type        = bool
  default     = true
}

variable "slack_webhook_url" {
  description = "Slack's webhook. It goes into a secret, and never into plan or state; slack_webhook_version says when it is written."
  type        = string
  default     = ""
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = var.slack_webhook_url == "" || can(regex("^https://[^\\s]+$", var.slack_webhook_url))
    error_message = "slack_webhook_url must be empty, or an https address."
  }

  validation {
    condition     = var.slack_webhook_url == "" || var.slack_webhook_version >= 1
    error_message = "slack_webhook_url is given but would not be written: set slack_webhook_version to 1, and one higher for every new webhook."
  }
}

variable "slack_webhook_version" {
  description = "0: no webhook is written. 1 with the first webhook, one higher with every new one. The webhook is needed only on the apply that raises it."
  type        = number
  default     = 0

  validation {
    condition     = var.slack_webhook_version >= 0 && floor(var.slack_webhook_version) == var.slack_webhook_version
    error_message = "slack_webhook_version must be a whole number, 0 or more."
  }
}

variable "enable_slack_notifications" {
  description = "Whether messages go to Slack: the setting SLACK_WEBHOOK_SECRET_NAME. null means when slack_webhook_version is above 0; true where somebody put the webhook into the secret by hand."
  type        = bool
  default     = null
}

variable "slack_channel" {
  description = "Slack channel of the messages; empty means the webhook's own: the setting SLACK_CHANNEL."
  type        = string
  default     = ""

  validation {
    condition     = var.slack_channel == "" || can(regex("^#?[^\\s#]{1,80}$", var.slack_channel))
    error_message = "slack_channel must be empty, #name, or a channel's id."
  }
}

variable "slack_username" {
  description = "Name under which messages appear in Slack; empty means the webhook's own: the setting SLACK_USERNAME."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[^\\r\\n]{0,80}$", var.slack_username))
    error_message = "slack_username must be one line of at most 80 characters."
  }
}

variable "enable_sns_notifications" {
  description = "Whether messages about syncs go to SNS too: the setting SNS_TOPIC_ARN. Alarms and security events do in any case."
  type        = bool
  default     = true
}

variable "notification_email_addresses" {
  description = "Who gets alarms, security events and, with enable_sns_notifications, messages by e-mail. Each address has to confirm."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.notification_email_addresses : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))]) && length(distinct(var.notification_email_addresses)) == length(var.notification_email_addresses)
    error_message = "notification_email_addresses must be e-mail addresses, each once."
  }
}

variable "api_keys" {
  description = "Places for further keys in Secrets Manager: name to description. Nothing of the project reads them."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, text in var.api_keys : can(regex("^[a-z0-9][a-z0-9-]{0,62}$", key)) && text != ""])
    error_message = "api_keys must have names of lower-case letters, digits and hyphens, and a description each."
  }
}

variable "enable_secrets_rotation" {
  description = "Whether Secrets Manager calls secrets_rotation_lambda_arn for the webhook and api_keys. RDS changes the database's password by itself."
  type        = bool
  default     = false
}

variable "secrets_rotation_lambda_arn" {
  description = "Your own Lambda that changes these secrets: Slack has no way to change a webhook by itself."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_rotation_lambda_arn == null || can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?$", var.secrets_rotation_lambda_arn))
    error_message = "secrets_rotation_lambda_arn must be a function's ARN."
  }

  validation {
    condition     = !var.enable_secrets_rotation || var.secrets_rotation_lambda_arn != null
    error_message = "secrets_rotation_lambda_arn is needed with enable_secrets_rotation: Slack has no way to change a webhook by itself."
  }
}

variable "secret_recovery_days" {
  description = "Days in which a deleted secret can be brought back, and its name is taken; 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = (var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)) && floor(var.secret_recovery_days) == var.secret_recovery_days
    error_message = "secret_recovery_days must be 0, or a whole number from 7 to 30."
  }
}

# Watching

variable "enable_metrics" {
  description = "Whether the project publishes its metrics, in the namespace HomebrewSync: the setting ENABLE_METRICS. Alarms on syncs need it."
  type        = bool
  default     = true
}

variable "enable_detailed_monitoring" {
  description = "Whether Container Insights, and Performance Insights and enhanced monitoring of the database, are on."
  type        = bool
  default     = true
}

variable "enable_xray_tracing" {
  description = "Whether the Lambda is traced by X-Ray."
  type        = bool
  default     = false
}

variable "log_level" {
  description = "Least severity that is logged: the setting LOG_LEVEL."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "log_format" {
  description = "json or text: the setting LOG_FORMAT. Metrics and queries of logs need json."
  type        = string
  default     = "json"

  validation {
    condition     = contains(["json", "text"], var.log_format)
    error_message = "log_format must be json or text."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days must be a number of days that CloudWatch knows, such as 7, 30, 90 or 365."
  }
}

variable "lambda_error_rate_threshold" {
  description = "Percent of the Lambda's invocations that may fail before an alarm is raised."
  type        = number
  default     = 5

  validation {
    condition     = var.lambda_error_rate_threshold > 0 && var.lambda_error_rate_threshold <= 100
    error_message = "lambda_error_rate_threshold must be above 0 and at most 100 percent."
  }
}

variable "ecs_cpu_utilization_threshold" {
  description = "Percent of its CPU that a service may use for 15 minutes before an alarm is raised."
  type        = number
  default     = 80

  validation {
    condition     = var.ecs_cpu_utilization_threshold > 0 && var.ecs_cpu_utilization_threshold <= 100
    error_message = "ecs_cpu_utilization_threshold must be above 0 and at most 100 percent."
  }
}

variable "ecs_memory_utilization_threshold" {
  description = "Percent of its memory that a service or a run may use for 15 minutes before an alarm is raised."
  type        = number
  default     = 85

  validation {
    condition     = var.ecs_memory_utilization_threshold > 0 && var.ecs_memory_utilization_threshold <= 100
    error_message = "ecs_memory_utilization_threshold must be above 0 and at most 100 percent."
  }
}

variable "sync_age_limit_hours" {
  description = "Hours since the last good sync after which an alarm is raised; 192 are a week and a day."
  type        = number
  default     = 192

  validation {
    condition     = var.sync_age_limit_hours >= 2 && var.sync_age_limit_hours <= 8760
    error_message = "sync_age_limit_hours must be 2 to 8760."
  }
}

variable "database_free_storage_threshold_gb" {
  description = "GB that the database's disk must have free before an alarm is raised."
  type        = number
  default     = 4

  validation {
    condition     = var.database_free_storage_threshold_gb > 0 && (var.database_engine == "aurora-postgresql" || var.database_free_storage_threshold_gb < var.database_allocated_storage)
    error_message = "database_free_storage_threshold_gb must be above 0 and below database_allocated_storage."
  }
}

variable "monthly_budget_limit" {
  description = "USD a month that the account may cost, for the budget (enable_budget) and, in us-east-1, the alarm on charges, which needs billing alerts in the account's billing preferences; 0 means no limit."
  type        = number
  default     = 0

  validation {
    condition     = var.monthly_budget_limit >= 0
    error_message = "monthly_budget_limit must be 0 or more."
  }
}

variable "enable_budget" {
  description = "Whether there is a budget for monthly_budget_limit."
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

# Keys and audit

variable "enable_kms_key" {
  description = "Whether logs, queues, topics, secrets, database, images and scratch are encrypted by a key made here rather than AWS's own. Database, images and scratch cannot change their key later."
  type        = bool
  default     = true
}

variable "kms_deletion_window_days" {
  description = "Days in which that key can be brought back after its deletion."
  type        = number
  default     = 30

  validation {
    condition     = var.kms_deletion_window_days >= 7 && var.kms_deletion_window_days <= 30 && floor(var.kms_deletion_window_days) == var.kms_deletion_window_days
    error_message = "kms_deletion_window_days must be a whole number from 7 to 30."
  }
}

variable "enable_audit" {
  description = "Whether CloudTrail records calls, and writes and deletes in the mirror's bucket."
  type        = bool
  default     = true
}

# Replaced. These are accepted, so that configurations that name them go on working, and have no effect: see
# README.md, "Variables that were replaced".

variable "lambda_layer_zip_path" {
  description = "No effect: the Lambda is the project's image."
  type        = string
  default     = null

  validation {
    condition     = var.lambda_layer_zip_path == null || can(regex("\\.zip$", var.lambda_layer_zip_path))
    error_message = "lambda_layer_zip_path must be the path of a .zip file, or left out: it has no effect."
  }
}

variable "lambda_orchestrator_zip_path" {
  description = "No effect: Dagster plans."
  type        = string
  default     = null

  validation {
    condition     = var.lambda_orchestrator_zip_path == null || can(regex("\\.zip$", var.lambda_orchestrator_zip_path))
    error_message = "lambda_orchestrator_zip_path must be the path of a .zip file, or left out: it has no effect."
  }
}

variable "lambda_sync_zip_path" {
  description = "No effect: the Lambda is the project's image (ecs_container_image, image_tag)."
  type        = string
  default     = null

  validation {
    condition     = var.lambda_sync_zip_path == null || can(regex("\\.zip$", var.lambda_sync_zip_path))
    error_message = "lambda_sync_zip_path must be the path of a .zip file, or left out: it has no effect."
  }
}

variable "lambda_orchestrator_memory_size" {
  description = "No effect: planning is a run in ECS, of the size in infra/dagster/dagster.yaml."
  type        = number
  default     = null

  validation {
    condition     = var.lambda_orchestrator_memory_size == null ? true : var.lambda_orchestrator_memory_size >= 128 && var.lambda_orchestrator_memory_size <= 10240 && floor(var.lambda_orchestrator_memory_size) == var.lambda_orchestrator_memory_size
    error_message = "lambda_orchestrator_memory_size must be 128 to 10,240 MB, or left out: it has no effect."
  }
}

variable "lambda_orchestrator_timeout" {
  description = "No effect: a planning run has no time limit; messages tell of one that is missing (sync_window_hours)."
  type        = number
  default     = null

  validation {
    condition     = var.lambda_orchestrator_timeout == null ? true : var.lambda_orchestrator_timeout >= 1 && var.lambda_orchestrator_timeout <= 900 && floor(var.lambda_orchestrator_timeout) == var.lambda_orchestrator_timeout
    error_message = "lambda_orchestrator_timeout must be 1 to 900 seconds, or left out: it has no effect."
  }
}
