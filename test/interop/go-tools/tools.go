//go:build tools

// Package tools pins the Go programs that interoperation tests run; scripts/setup.sh builds them.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
