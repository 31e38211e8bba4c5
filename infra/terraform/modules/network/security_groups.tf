# One security group per role. Nobody is let in from outside the VPC: the webserver is reached by port forwarding
# through Session Manager, which needs no open port.

locals {
  roles = {
    webserver = "Dagster's webserver"
    daemon    = "Dagster's daemon"
    code      = "code server"
    run       = "tasks of runs"
    lambda    = "Lambda that copies batches"
    database  = "Dagster's database"
    efs       = "mount targets of the file system"
    endpoints = "interface endpoints of AWS services"
  }

  https_clients = ["webserver", "daemon", "code", "run", "lambda"]
  dagster       = ["webserver", "daemon", "code", "run"]

  opens_proxy_port = var.proxy_port == null ? false : var.proxy_port != 443

  # Who talks to whom: one rule out of the first group, one into the second.
  connections = merge(
    { for role in local.dagster : "${role}-database" => { from = role, to = "database", port = 5432 } },
    # Runs mount the scratch. Planning runs are started in the daemon's group.
    { for role in ["daemon", "run"] : "${role}-efs" => { from = role, to = "efs", port = 2049 } },
    # Runs load the code from their own image and never ask the code server.
    { for role in ["webserver", "daemon"] : "${role}-code" => { from = role, to = "code", port = 4000 } },
  )
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:attached by the modules that take the output security_group_ids
  for_each = local.roles

  name        = "${var.name}-${each.key}"
  description = "${var.name}: ${each.value}"
  vpc_id      = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

# Bottles come from hosts whose addresses change, and AWS's own services answer on 443 as well.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = toset(local.https_clients)

  security_group_id = aws_security_group.this[each.key].id
  description       = "https to upstream and AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"

  tags = merge(var.tags, { Name = "${var.name}-${each.key}-https" })
}

# Where the proxy stands is the operator's matter; it may be in a network that this one is peered with.
resource "aws_vpc_security_group_egress_rule" "proxy" {
  for_each = toset(local.opens_proxy_port ? local.https_clients : [])

  security_group_id = aws_security_group.this[each.key].id
  description       = "to the proxy"
  ip_protocol       = "tcp"
  from_port         = var.proxy_port
  to_port           = var.proxy_port
  cidr_ipv4         = "0.0.0.0/0"

  tags = merge(var.tags, { Name = "${var.name}-${each.key}-proxy" })
}

resource "aws_vpc_security_group_egress_rule" "between" {
  for_each = local.connections

  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  description                  = "to ${each.value.to}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "between" {
  for_each = local.connections

  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  description                  = "from ${each.value.from}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = toset(local.https_clients)

  security_group_id            = aws_security_group.this["endpoints"].id
  referenced_security_group_id = aws_security_group.this[each.key].id
  description                  = "https from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = merge(var.tags, { Name = "${var.name}-${each.key}-endpoints" })
}
