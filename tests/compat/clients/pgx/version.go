package main

import (
	"os/exec"
	"regexp"
)

// The version that Debian packaged; the libraries do not say theirs.
func packaged(name string) string {
	text, _ := exec.Command("dpkg-query", "-W", "-f=${Version}", name).Output()
	return regexp.MustCompile(`^[\d.]+`).FindString(string(text))
}
