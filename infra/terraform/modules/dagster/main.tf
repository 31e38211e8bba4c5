# What every container of the image has in common. The image and its programs: infra/README.md.

locals {
  entrypoint = "/opt/brew-assets/entrypoint"
  code_port  = 4000
  web_port   = 3000
  scratch    = "/mnt/efs"

  secrets = concat(
    [{ name = "DAGSTER_POSTGRES_PASSWORD", valueFrom = "${var.database.secret_arn}:password::" }],
    [for name in sort(keys(var.secret_settings)) : { name = name, valueFrom = var.secret_settings[name] }],
  )

  instance = {
    DAGSTER_POSTGRES_HOST       = var.database.host
    DAGSTER_POSTGRES_PORT       = tostring(var.database.port)
    DAGSTER_POSTGRES_DB         = var.database.name
    DAGSTER_POSTGRES_USER       = var.database.username
    PGSSLMODE                   = "require"
    DAGSTER_COMPUTE_LOGS_BUCKET = var.compute_logs_bucket
    DAGSTER_CODE_SERVER_HOST    = "code.${var.namespace_name}"
    DAGSTER_CODE_SERVER_PORT    = tostring(local.code_port)
  }

  # An empty variable counts as not set: it is left out.
  common = { for key, value in merge(var.settings, local.instance) : key => value if value != "" }

  # Runs name the family: their own revision does not exist yet when it is written.
  run_environment = merge(
    local.common,
    { ECS_TASK_DEFINITION = var.run_task_family },
    # Python's temporary files go there, and nothing of the engine. Compute logs do not: Dagster keeps the
    # copy that it uploads in /tmp, whatever TMPDIR says.
    var.efs == null ? null : { TMPDIR = local.scratch },
  )

  # Services name the revision, so that a new one starts the daemon anew, which otherwise would go on with
  # the revision that was the newest when it began.
  service_environment = merge(local.common, { ECS_TASK_DEFINITION = aws_ecs_task_definition.run.arn })

  base = {
    image     = var.image
    essential = true
    secrets   = local.secrets
    # Without an init process a program that is still starting does not notice SIGTERM.
    linuxParameters = { initProcessEnabled = true }
    systemControls  = []
    volumesFrom     = []
  }

  # RDS changes the password from time to time, and a task keeps the one it began with. A service that can no
  # longer log in is unhealthy, and ECS replaces it by one that reads the secret anew.
  database_check = join("", [
    "import os, psycopg2; e = os.environ; psycopg2.connect(",
    "host=e['DAGSTER_POSTGRES_HOST'], port=e['DAGSTER_POSTGRES_PORT'], dbname=e['DAGSTER_POSTGRES_DB'], ",
    "user=e['DAGSTER_POSTGRES_USER'], password=e['DAGSTER_POSTGRES_PASSWORD'], connect_timeout=5).close()",
  ])
  web_check = join("", [
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:${local.web_port}/server_info', timeout=10).read(); ",
    local.database_check,
  ])

  health_commands = {
    webserver = ["CMD", local.entrypoint, "python", "-c", local.web_check]
    # Its heartbeats stand in the database.
    daemon = ["CMD", local.entrypoint, "dagster-daemon", "liveness-check"]
    code = [
      "CMD-SHELL",
      "${local.entrypoint} dagster api grpc-health-check -p ${local.code_port} && ${local.entrypoint} python -c \"${local.database_check}\"",
    ]
  }

  # Several code servers must look like one: each has an id, and a client that meets another one reloads the
  # code location. A new image, or new settings, must look new.
  code_id = substr(sha256(jsonencode([var.image, local.common])), 0, 32)

  services = {
    webserver = {
      command = ["webserver"]
      ports   = [{ containerPort = local.web_port, hostPort = local.web_port, protocol = "tcp" }]
    }
    daemon = {
      command = ["daemon"]
      ports   = []
    }
    code = {
      command = concat(["code-server"], var.enable_autoscaling ? ["--fixed-server-id", local.code_id] : [])
      ports   = [{ containerPort = local.code_port, hostPort = local.code_port, protocol = "tcp" }]
    }
  }

  # SSM's agent writes beside the programs: port forwarding and a read-only root exclude each other.
  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html#ecs-exec-considerations
  read_only = {
    webserver = var.read_only_root_filesystem && !var.enable_execute_command
    daemon    = var.read_only_root_filesystem
    code      = var.read_only_root_filesystem
    run       = var.read_only_root_filesystem
  }
  tmp_mount = { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }
}
