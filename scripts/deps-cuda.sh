#!/bin/sh
# scripts/deps-cuda.sh ROOT [NVCC]: downloads the CUDA compiler from PyPI. NVCC: the compiler of the system, if it has one.
# Unpacks the wheels of NVIDIA under ROOT (bin, include, lib, nvvm); the system is not changed. With NVCC, downloads only cuobjdump and
# nvdisasm, if they are missing. BLAS=0 leaves out cuBLAS and cuDNN, which only `--blas cublas|cudnn` uses: most of the download.
# The version is CUDA 13.0, because its PTX runs with every driver for CUDA 13.
set -eu
root=$1
nvcc=${2:-}
compiler='nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-nvtx==13.0.85'
disassembler='nvidia-cuda-cuobjdump==13.2.51 nvidia-cuda-nvdisasm==13.2.51' # the oldest versions on PyPI; they read older files
libraries='nvidia-cublas==13.1.0.3 nvidia-cudnn-cu13==9.19.0.56'
packages= download=0 unpacked=0
take() { # MEGABYTES-TO-DOWNLOAD MEGABYTES-UNPACKED PACKAGE ...
    download=$((download + $1)) unpacked=$((unpacked + $2))
    shift 2
    packages="$packages$* "
}
if [ -z "$nvcc" ]; then
    take 105 280 $compiler
    take 5 6 $disassembler
    [ "${BLAS:-1}" = 0 ] || take 790 1090 $libraries
elif ! command -v cuobjdump >/dev/null && [ ! -x "${nvcc%/*}/cuobjdump" ]; then
    echo "deps: this system has nvcc: $nvcc; cuobjdump is missing"
    take 5 6 $disassembler
else
    echo "deps: this system has nvcc: $nvcc"
    exit 0
fi
if [ "$(cat "$root/packages" 2>/dev/null)" = "$packages" ]; then
    echo "deps: the CUDA compiler is already under $root"
    exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "deps: python3 with pip is missing; install it to download the CUDA compiler" >&2
    exit 1
fi
echo "deps: CUDA by pip: $download MB to download, $unpacked MB unpacked under $root, the system is not changed: $packages"
[ -n "$nvcc" ] || [ "${BLAS:-1}" = 0 ] || echo "deps: 790 MB of them are cuBLAS and cuDNN: BLAS=0 leaves them out"
part=$root.part
rm -rf "$part"
mkdir -p "$part/wheel"
trap 'rm -rf "$part"' EXIT
trap 'exit 1' HUP INT TERM
for package in $packages; do # one after another: each wheel is removed after it is unpacked
    echo "deps: $package"
    python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: --disable-pip-version-check -d "$part/wheel" "$package"
    python3 -m zipfile -e "$part"/wheel/*.whl "$part/wheel"
    for folder in "$part"/wheel/nvidia/*/; do # cu13, cudnn
        (cd "$folder" && rm -rf .metadata && cp -Rl . "$part") || exit 1
    done
    rm -rf "$part/wheel"/*
done
rmdir "$part/wheel"
find "$part/bin" "$part/nvvm/bin" -type f -exec chmod +x {} + 2>/dev/null || true # Python unpacks a zip without its modes
[ ! -d "$part/lib" ] || ln -s lib "$part/lib64"
find "$part" -name '__init__.py' -delete
printf '%s\n' "$packages" >"$part/packages"
rm -rf "$root"
mv "$part" "$root"
echo "deps: CUDA is under $root"
