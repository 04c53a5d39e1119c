#!/bin/sh
# Installs ONNX Runtime for the tests of internal/ortcheck into .ci/ort, which git ignores. Where node or npm is missing it says so and
# does nothing: those tests skip then.
set -eu
version=1.30.0
cd "$(dirname "$0")"
for tool in node npm; do
	if ! command -v $tool >/dev/null; then
		echo "ort.sh: skipped: no $tool on this machine"
		exit 0
	fi
done
package=ort/node_modules/onnxruntime-node
if [ "$(node -p "require('./$package/package.json').version" 2>/dev/null)" = "$version" ]; then
	exit 0
fi
# The package carries the library for every platform; its install script would only fetch what runs on graphics cards.
npm install --prefix ort --ignore-scripts --no-save --no-audit --no-fund --loglevel=error "onnxruntime-node@$version"
platform=$(node -p 'process.platform')
arch=$(node -p 'process.arch')
find $package/bin -mindepth 3 -maxdepth 3 ! -path "*/$platform/$arch" -exec rm -r {} +
if ! [ -e $package/bin/napi-v*/"$platform/$arch" ]; then
	echo "ort.sh: onnxruntime-node $version has no library for $platform $arch" >&2
	exit 1
fi
