locals {
  queries = !var.enable_query_definitions ? {} : {
    failures-of-a-sync    = <<-EOT
      fields @timestamp, platform, bottle, reason, error
      | filter sync_id = "put the sync id here" and level = "ERROR"
      | sort @timestamp desc
    EOT
    failures-by-reason    = <<-EOT
      filter level = "ERROR" and ispresent(bottle)
      | stats count(*) as lines by reason, platform
      | sort lines desc
    EOT
    downloads-by-platform = <<-EOT
      filter message = "stored"
      | stats count(*) as bottles, sum(bytes) / 1000000000 as gb by platform, how
      | sort gb desc
    EOT
    syncs                 = <<-EOT
      fields @timestamp, sync_id, platform, route, planned, stored, failed, held
      | filter message = "sync ends"
      | sort @timestamp desc
    EOT
    retries               = <<-EOT
      filter message = "tried again"
      | stats count(*) as tries by reason, bin(1h)
    EOT
    security              = <<-EOT
      fields @timestamp, sync_id, bottle, reason, error
      | filter security = 1
      | sort @timestamp desc
    EOT
  }
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = local.queries

  name            = "${var.name}/${each.key}"
  log_group_names = [var.log_group_names["run"], var.log_group_names["lambda"]]
  query_string    = each.value
}
