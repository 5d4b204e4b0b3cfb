# mk/cuda.mk: what CUDA=1 builds. There are no CUDA kernels yet.
$(error CUDA=1: not available in this version)
