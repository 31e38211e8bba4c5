# Network ACLs know no connections: answers come back to a high port. Security groups decide who may talk to whom;
# these keep out what no group should ever let in. AWS's own DNS and metadata services are not filtered.

resource "aws_network_acl" "private" {
  #checkov:skip=CKV2_AWS_1:attached by aws_network_acl_association.private
  vpc_id = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_network_acl_association" "private" {
  count = var.az_count

  network_acl_id = aws_network_acl.private.id
  subnet_id      = aws_subnet.private[count.index].id
}

resource "aws_network_acl_rule" "private_in_vpc" {
  #checkov:skip=CKV_AWS_352:between subnets of this VPC the security groups name the ports
  network_acl_id = aws_network_acl.private.id
  rule_number    = 100
  egress         = false
  protocol       = "-1"
  rule_action    = "allow"
  cidr_block     = var.vpc_cidr
}

resource "aws_network_acl_rule" "private_in_answers" {
  #checkov:skip=CKV_AWS_231:a NAT gateway and a Lambda's interface use any port from 1024, 3389 too; no route leads in from the internet
  network_acl_id = aws_network_acl.private.id
  rule_number    = 200
  egress         = false
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
  from_port      = 1024
  to_port        = 65535
}

resource "aws_network_acl_rule" "private_out_vpc" {
  #checkov:skip=CKV_AWS_352:between subnets of this VPC the security groups name the ports
  network_acl_id = aws_network_acl.private.id
  rule_number    = 100
  egress         = true
  protocol       = "-1"
  rule_action    = "allow"
  cidr_block     = var.vpc_cidr
}

resource "aws_network_acl_rule" "private_out_https" {
  network_acl_id = aws_network_acl.private.id
  rule_number    = 200
  egress         = true
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
  from_port      = 443
  to_port        = 443
}

resource "aws_network_acl_rule" "private_out_proxy" {
  count = local.opens_proxy_port ? 1 : 0

  network_acl_id = aws_network_acl.private.id
  rule_number    = 300
  egress         = true
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
  from_port      = var.proxy_port
  to_port        = var.proxy_port
}

resource "aws_network_acl" "public" {
  #checkov:skip=CKV2_AWS_1:attached by aws_network_acl_association.public
  vpc_id = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_network_acl_association" "public" {
  count = var.az_count

  network_acl_id = aws_network_acl.public.id
  subnet_id      = aws_subnet.public[count.index].id
}

resource "aws_network_acl_rule" "public_in_https" {
  network_acl_id = aws_network_acl.public.id
  rule_number    = 100
  egress         = false
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = var.vpc_cidr
  from_port      = 443
  to_port        = 443
}

resource "aws_network_acl_rule" "public_in_answers" {
  #checkov:skip=CKV_AWS_231:a NAT gateway uses any port from 1024, 3389 too, and takes no connection from outside
  network_acl_id = aws_network_acl.public.id
  rule_number    = 200
  egress         = false
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
  from_port      = 1024
  to_port        = 65535
}

resource "aws_network_acl_rule" "public_out_https" {
  network_acl_id = aws_network_acl.public.id
  rule_number    = 100
  egress         = true
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
  from_port      = 443
  to_port        = 443
}

resource "aws_network_acl_rule" "public_out_answers" {
  network_acl_id = aws_network_acl.public.id
  rule_number    = 200
  egress         = true
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = var.vpc_cidr
  from_port      = 1024
  to_port        = 65535
}

# A proxy on the internet is reached through the NAT gateway.
resource "aws_network_acl_rule" "public_in_proxy" {
  count = local.opens_proxy_port ? 1 : 0

  network_acl_id = aws_network_acl.public.id
  rule_number    = 300
  egress         = false
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = var.vpc_cidr
  from_port      = var.proxy_port
  to_port        = var.proxy_port
}

resource "aws_network_acl_rule" "public_out_proxy" {
  count = local.opens_proxy_port ? 1 : 0

  network_acl_id = aws_network_acl.public.id
  rule_number    = 300
  egress         = true
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = "0.0.0.0/0"
  from_port      = var.proxy_port
  to_port        = var.proxy_port
}
