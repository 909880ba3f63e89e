//go:build tools

// Package tools names the program of cri-tools that the lab puts on nodes.
package tools

import (
	_ "sigs.k8s.io/cri-tools/cmd/crictl"
)
