locals {
  # Statements that several roles share; null ones are left out below.

  # Whoever starts, watches or ends runs looks up their task definition first (EcsRunLauncher). The action takes
  # no resource.
  look_up_task_definition = {
    Sid      = "LookUpTaskDefinition"
    Effect   = "Allow"
    Action   = ["ecs:DescribeTaskDefinition"]
    Resource = ["*"]
  }

  watch_runs = {
    Sid       = "WatchRuns"
    Effect    = "Allow"
    Action    = ["ecs:DescribeTasks"]
    Resource  = [local.tasks]
    Condition = { ArnEquals = { "ecs:cluster" = local.cluster } }
  }
  # The launcher tags each run's task with its id; the services' own tasks have no such tag.
  end_runs = {
    Sid      = "EndRuns"
    Effect   = "Allow"
    Action   = ["ecs:StopTask"]
    Resource = [local.tasks]
    Condition = {
      ArnEquals = { "ecs:cluster" = local.cluster }
      Null      = { "aws:ResourceTag/dagster/run_id" = "false" }
    }
  }

  # What runs print, and what ticks log. Dagster lists below the prefix and reads.
  read_compute_logs = {
    Sid      = "ReadComputeLogs"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = ["${var.bucket_arn}/state/compute-logs/*"]
  }
  list_compute_logs = {
    Sid       = "ListComputeLogs"
    Effect    = "Allow"
    Action    = ["s3:ListBucket"]
    Resource  = [var.bucket_arn]
    Condition = { StringLike = { "s3:prefix" = ["state/compute-logs/*"] } }
  }
  write_compute_logs = {
    Sid      = "WriteComputeLogs"
    Effect   = "Allow"
    Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    Resource = ["${var.bucket_arn}/state/compute-logs/*"]
  }

  read_encrypted_objects = var.s3_kms_key_arn == null ? null : {
    Sid       = "ReadEncryptedObjects"
    Effect    = "Allow"
    Action    = ["kms:Decrypt"]
    Resource  = [var.s3_kms_key_arn]
    Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
  }
  write_encrypted_objects = var.s3_kms_key_arn == null ? null : {
    Sid       = "WriteEncryptedObjects"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = [var.s3_kms_key_arn]
    Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
  }

  # The engine, in a run and in a Lambda. Without ListBucket a missing object looks like a refusal.
  list_mirror = {
    Sid      = "ListMirror"
    Effect   = "Allow"
    Action   = ["s3:ListBucket"]
    Resource = [var.bucket_arn]
  }
  read_mirror = {
    Sid      = "ReadMirror"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = ["${var.bucket_arn}/*"]
  }
  write_mirror = {
    Sid    = "WriteMirror"
    Effect = "Allow"
    Action = ["s3:PutObject", "s3:AbortMultipartUpload"]
    Resource = [for key in [
      "????-??-??/*", # bottles, in the folders of their dates
      "bottles_hash.json",
      "backups/*",
      "state/*",
      "v2/*", # copies for brew under the registry's own keys
      "api/*",
    ] : "${var.bucket_arn}/${key}"]
  }
  # Publications (engine/published.py), by runs alone. Records, and the pointer's first version, are created where
  # nothing stands, so that no task can change a record; the pointer is replaced by whoever names the version that it
  # replaces, so that no write is blind. Deleting is nobody's.
  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
  create_records = {
    Sid       = "CreateRecords"
    Effect    = "Allow"
    Action    = ["s3:PutObject"]
    Resource  = ["${var.bucket_arn}/published/*"]
    Condition = { Null = { "s3:if-none-match" = "false" } }
  }
  move_pointer = {
    Sid       = "MovePointer"
    Effect    = "Allow"
    Action    = ["s3:PutObject"]
    Resource  = ["${var.bucket_arn}/published/current.json"]
    Condition = { Null = { "s3:if-match" = "false" } }
  }
  # All that the engine ever deletes: receipts that are folded, and the oldest backups of the manifest
  # (engine/record/fold.py). No bottle, no manifest.
  delete_settled = {
    Sid    = "DeleteSettled"
    Effect = "Allow"
    Action = ["s3:DeleteObject"]
    Resource = [for key in ["state/receipts/*", "backups/bottles_hash/*"] :
    "${var.bucket_arn}/${key}"]
  }

  read_registry_secret = var.registry_secret_arn == null ? null : {
    Sid      = "ReadRegistryCredentials"
    Effect   = "Allow"
    Action   = ["secretsmanager:GetSecretValue"]
    Resource = [var.registry_secret_arn]
  }
  decrypt_own_secrets = length(var.own_secrets_kms_key_arns) == 0 ? null : {
    Sid       = "DecryptOwnSecrets"
    Effect    = "Allow"
    Action    = ["kms:Decrypt"]
    Resource  = var.own_secrets_kms_key_arns
    Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
  }

  statements = {
    webserver = [
      local.look_up_task_definition,
      local.watch_runs,
      # The one thing it can change: a person ends a run in the UI (docs/adr/0023).
      var.webserver_may_end_runs ? local.end_runs : null,
      local.list_compute_logs,
      local.read_compute_logs,
      local.read_encrypted_objects,
      # Port forwarding: the agent in the task calls these, which take no resource.
      !var.enable_execute_command ? null : {
        Sid    = "PortForwarding"
        Effect = "Allow"
        Action = [
          "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
        ]
        Resource = ["*"]
      },
      !var.enable_execute_command ? null : {
        Sid      = "FindSessionLog"
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = ["*"]
      },
      !var.enable_execute_command ? null : {
        Sid      = "WriteSessionLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = ["${var.log_group_arns["exec"]}:*"]
      },
      !var.enable_execute_command || var.kms_key_arn == null ? null : {
        Sid      = "DecryptSession"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.kms_key_arn]
      },
    ]

    daemon = [
      local.look_up_task_definition,
      {
        Sid       = "StartRuns"
        Effect    = "Allow"
        Action    = ["ecs:RunTask"]
        Resource  = ["${local.ecs}:task-definition/${var.run_task_family}:*"]
        Condition = { ArnEquals = { "ecs:cluster" = local.cluster } }
      },
      {
        Sid       = "TagRunsAsTheyStart"
        Effect    = "Allow"
        Action    = ["ecs:TagResource"]
        Resource  = [local.tasks]
        Condition = { StringEquals = { "ecs:CreateAction" = "RunTask" } }
      },
      {
        Sid       = "HandRolesToRuns"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = [local.role_arns["run"], local.role_arns["execution"]]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
      local.watch_runs,
      local.end_runs,
      {
        # Its own subnets and security groups, in which it starts planning runs. The action takes no resource.
        Sid      = "LearnOwnNetwork"
        Effect   = "Allow"
        Action   = ["ec2:DescribeNetworkInterfaces"]
        Resource = ["*"]
      },
      {
        Sid      = "ReadLogOfLostRuns"
        Effect   = "Allow"
        Action   = ["logs:GetLogEvents"]
        Resource = ["${var.log_group_arns["run"]}:log-stream:*"]
      },
      local.list_compute_logs,
      local.read_compute_logs,
      local.write_compute_logs, # backfills write their log from here
      local.write_encrypted_objects,
    ]

    code = [
      local.list_mirror,
      {
        Sid      = "ReadPlansAndReports"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for key in ["state/plans/*", "state/reports/*"] : "${var.bucket_arn}/${key}"]
      },
      local.read_compute_logs,
      local.write_compute_logs, # what sensors and schedules log
      local.write_encrypted_objects,
      var.slack_secret_arn == null ? null : {
        Sid      = "ReadSlackWebhook"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [var.slack_secret_arn]
      },
      var.messages_topic_arn == null && var.security_topic_arn == null ? null : {
        Sid      = "SendMessages"
        Effect   = "Allow"
        Action   = ["sns:Publish"]
        Resource = [for arn in [var.messages_topic_arn, var.security_topic_arn] : arn if arn != null]
      },
      {
        # The action takes no resource; the namespace is its only bound.
        Sid       = "PublishMetrics"
        Effect    = "Allow"
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringEquals = { "cloudwatch:namespace" = var.metrics_namespace } }
      },
      {
        Sid      = "TakeEvents"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
        Resource = [var.trigger_queue_arn]
      },
      {
        Sid      = "BuryEvents"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [var.dead_letter_queue_arn]
      },
      var.kms_key_arn == null ? null : {
        Sid      = "UseKeyOfQueuesTopicsAndSecrets"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = [
          for service in ["secretsmanager", "sns", "sqs"] : "${service}.${var.region}.amazonaws.com"
        ] } }
      },
    ]

    run = [
      local.list_mirror,
      local.read_mirror,
      local.write_mirror,
      local.create_records,
      local.move_pointer,
      local.delete_settled,
      local.write_encrypted_objects,
      local.read_registry_secret,
      var.registry_secret_arn == null ? null : local.decrypt_own_secrets,
      {
        Sid      = "GiveOutBatches"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [local.function]
      },
      var.external_hash_file == null ? null : {
        Sid      = "ReadExternalHashFile"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:${var.partition}:s3:::${var.external_hash_file.bucket}/${var.external_hash_file.key}"]
      },
      # Otherwise a file that is not there looks like a refusal.
      var.external_hash_file == null ? null : {
        Sid       = "FindExternalHashFile"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = ["arn:${var.partition}:s3:::${var.external_hash_file.bucket}"]
        Condition = { StringEquals = { "s3:prefix" = var.external_hash_file.key } }
      },
      var.efs == null ? null : {
        Sid      = "MountScratch"
        Effect   = "Allow"
        Action   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource = [var.efs.file_system_arn]
        Condition = { ArnEquals = {
          "elasticfilesystem:AccessPointArn" = var.efs.access_point_arn
        } }
      },
    ]

    execution = [
      {
        # The action takes no resource.
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = var.repository_arns
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [for key in ["code", "daemon", "run", "webserver"] : "${var.log_group_arns[key]}:*"]
      },
      {
        Sid      = "ReadDatabasePassword"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [var.database_secret_arn]
      },
      length(var.container_secret_arns) == 0 ? null : {
        Sid      = "ReadSecretSettings"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.container_secret_arns
      },
      length(var.container_secret_arns) == 0 ? null : local.decrypt_own_secrets,
      var.kms_key_arn == null ? null : {
        Sid       = "DecryptDatabasePassword"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ]

    lambda = [
      local.list_mirror,
      local.read_mirror,
      local.write_mirror,
      # Bottles that an event names by value are folded by the Lambda itself.
      local.delete_settled,
      local.write_encrypted_objects,
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${local.lambda_log_group}:*"]
      },
      local.read_registry_secret,
      length(var.lambda_secret_arns) == 0 ? null : {
        Sid      = "ReadSecretSettings"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.lambda_secret_arns
      },
      var.registry_secret_arn == null && length(var.lambda_secret_arns) == 0 ? null : local.decrypt_own_secrets,
      !var.enable_lambda_vpc ? null : {
        # The actions take no resource.
        Sid      = "LearnNetwork"
        Effect   = "Allow"
        Action   = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
        Resource = ["*"]
      },
      !var.enable_lambda_vpc ? null : {
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
        Sid    = "JoinNetwork"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
          "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = [for kind in ["network-interface", "security-group", "subnet"] :
        "arn:${var.partition}:ec2:${local.account}:${kind}/*"]
      },
      !var.enable_xray_tracing ? null : {
        # The actions take no resource.
        Sid      = "SendTraces"
        Effect   = "Allow"
        Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = ["*"]
      },
    ]
  }

  policies = { for role, statements in local.statements : role => jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in statements : statement if statement != null]
  }) }
}
