#!/bin/sh
# Regenerates the assembly of internal/kernel and fails when it differs from what is checked in.
set -eu
cd "$(dirname "$0")/../internal/kernel"
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
cp tile_amd64.s tile_amd64.go "$old"
go generate .
for file in tile_amd64.s tile_amd64.go; do
	diff -u "$old/$file" "$file"
done
