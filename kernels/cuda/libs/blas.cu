/* kernels/cuda/libs/blas.cu: products by cuBLAS: the option "cublas". It computes products of float32, and products of
 * f16 or bf16 if both operands have this type. With the option "tf32", cuBLAS may round float32 operands to tf32.
 *
 * The matrices of cuBLAS are column-major. A row-major C [M, N] with ldc is the column-major C' [N, M] (' means
 * transposed). cuBLAS therefore computes
 *
 *   C' = B' A'
 *
 * Then a kernel of ours adds bias and residual and applies act (finish_product). Our own kernel computes the other
 * products (takes): with an operand whose strides are both not 1, of int8, of operands of different types, and with a
 * 16-bit C that has another type than the operands or has a bias, residual or act. */
#include "kernels/cuda/libs/libs.h"

#ifndef HAVE_CUBLAS

bool cublas_use(Cuda *c, Error *e)
{
    (void)c;
    return fail(e, SP_UNSUPPORTED,
                "device cuda:cublas: this plug-in was built without cuBLAS's headers; `make deps CUDA=1` gets them");
}
void cublas_close(Cuda *c)
{
    (void)c;
}

#else

#include <cublas_v2.h>
#include <stdio.h>

#include "kernels/cuda/gemm/gemm.h"

#define FUNCTIONS(LINE)                                                                                                \
    LINE(cublasCreate_v2)                                                                                              \
    LINE(cublasDestroy_v2)                                                                                             \
    LINE(cublasSetStream_v2) LINE(cublasSetWorkspace_v2) LINE(cublasGemmEx_64) LINE(cublasGetStatusString)
typedef struct Blas {
#define MEMBER(name) decltype(&::name) name;
    FUNCTIONS(MEMBER)
    cublasHandle_t handle;
    Pointee<decltype(Kernels::gemm)>::type *gemm; /* our kernel */
    Pointee<decltype(Kernels::gemm_way)>::type *gemm_way;
    /* the library's workspace; without it the handle would allocate, which is not allowed in a captured step */
    void *work;
} Blas;
/* The size that cuBLAS recommends for compute capability 9; older cards need less. */
#define WORK_BYTES   ((size_t)32 << 20)

static bool worked(Cuda *c, cublasStatus_t status, const char *function)
{
    const Blas *b = (const Blas *)c->blas;
    return status == CUBLAS_STATUS_SUCCESS ||
           cuda_broke(c, status == CUBLAS_STATUS_ALLOC_FAILED ? SP_MEMORY : SP_UNSUPPORTED, function,
                      b->cublasGetStatusString(status));
}

/* ---- operands -------------------------------------------------------------------------------- */

/* A matrix [rows, cols] for cuBLAS, either a column-major [cols, rows] (CUBLAS_OP_N) or its transpose. operand_of
 * describes the matrix whose number (r, c) is at r row + c col. It returns false if cuBLAS cannot read this matrix. */
typedef struct Operand {
    const void *p;
    cublasOperation_t op;
    int64_t ld;
} Operand;
static bool operand_of(const void *p, int64_t rows, int64_t cols, int64_t row, int64_t col, Operand *o)
{
    const int64_t across = cols == 1 ? 1 : col, down = rows == 1 ? MAX(row, cols) : row;
    *o = {p, CUBLAS_OP_N, down};
    if (across == 1 && down >= cols)
        return true;
    *o = {p, CUBLAS_OP_T, cols == 1 ? MAX(col, rows) : col};
    return (row == 1 || rows == 1) && o->ld >= rows;
}

static cudaDataType_t type_of(DType type)
{
    return type == F16 ? CUDA_R_16F : type == BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

typedef struct Product {
    Operand a, b;
    DType type;         /* type of A and B */
    bool onto_residual; /* C is the residual: it is added by beta */
} Product;

/* Reports whether cuBLAS computes this product. If so, fills *p. */
static bool takes(const Gemm *g, Product *p)
{
    const Pack pack = g->packed ? pack_type(g->pack) : PACK_F32;
    *p = {};
    p->type = !g->packed ? g->B_type : pack == PACK_F16 ? F16 : pack == PACK_BF16 ? BF16 : F32;
    const bool follows = g->bias || g->residual || g->act != ACT_NONE;
    if (pack == PACK_INT8 || g->A_type != p->type || g->K == 0 || g->ldc < g->N)
        return false;
    if (g->C_type != F32 && (g->C_type != p->type || follows))
        return false;
    p->onto_residual = g->residual == g->C && g->residual && g->residual_type == g->C_type && g->ldr == g->ldc;
    if (g->residual == g->C && g->residual && !p->onto_residual)
        return false;
    const int64_t line = pack_line(pack, g->K, g->N);
    const int64_t b_row = !g->packed ? g->b_row : pack == PACK_F32 ? line : 1;
    const int64_t b_col = !g->packed ? g->b_col : pack == PACK_F32 ? 1 : line;
    return operand_of(g->A, g->M, g->K, g->a_row, g->a_col, &p->a) &&
           operand_of(g->packed ? g->packed : g->B, g->K, g->N, b_row, b_col, &p->b);
}

/* ---- the entries of the table ---------------------------------------------------------------- */

static void cublas_gemm(const Run *run, const Gemm *g)
{
    Cuda *c = (Cuda *)run->context;
    Blas *b = (Blas *)c->blas;
    Product p;
    if (!takes(g, &p)) {
        b->gemm(run, g);
        return;
    }
    if (g->M == 0 || g->N == 0 || !cuda_ready(run))
        return;
    const float beta = g->beta + (p.onto_residual ? 1.0f : 0.0f);
    if (!worked(c,
                b->cublasGemmEx_64(b->handle, p.b.op, p.a.op, g->N, g->M, g->K, &g->alpha, p.b.p, type_of(p.type),
                                   p.b.ld, p.a.p, type_of(p.type), p.a.ld, &beta, g->C, type_of(g->C_type), g->ldc,
                                   c->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                "cublasGemmEx"))
        return;
    Finish f = finish_of(g);
    f.alpha = 1;
    f.beta = 0;
    f.residual = p.onto_residual ? NULL : g->residual;
    finish_product(run, &f);
}

static Way cublas_gemm_way(const Run *run, const Gemm *g)
{
    Product p;
    if (!takes(g, &p))
        return ((const Blas *)((Cuda *)run->context)->blas)->gemm_way(run, g);
    Way way = {};
    snprintf(way.name, sizeof way.name, "cublas");
    way.why = "the option cublas";
    return way;
}

bool cublas_use(Cuda *c, Error *e)
{
    static const char *const FILES[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
    void *library = library_open("cublas", FILES, COUNT(FILES), e);
    Blas *b = library ? (Blas *)heap_alloc(c->heap, sizeof *b) : NULL;
    if (!b)
        return !library ? false : fail_memory(e, sizeof *b, "device cuda:cublas");
    *b = {};
    c->blas = b;
#define FIND(name)                                                                                                     \
    if (!(b->name = (decltype(b->name))library_find(library, "cublas", #name, e)))                                     \
        return false;
    FUNCTIONS(FIND)
    const Run run = {c, NULL, 0, NULL};
    b->work = cuda_alloc(&run, c->heap, WORK_BYTES);
    if (!b->work)
        return fail(e, SP_MEMORY, "device cuda:cublas: out of memory on the device: %zu bytes", WORK_BYTES);
    /* The workspace is set last, because cublasSetStream resets it. */
    if (!worked(c, b->cublasCreate_v2(&b->handle), "cublasCreate") ||
        !worked(c, b->cublasSetStream_v2(b->handle, c->stream), "cublasSetStream") ||
        !worked(c, b->cublasSetWorkspace_v2(b->handle, b->work, WORK_BYTES), "cublasSetWorkspace"))
        return fail(e, c->error.code, "%s", c->error.message);
    b->gemm = c->kernels.gemm;
    b->gemm_way = c->kernels.gemm_way;
    c->kernels.gemm = cublas_gemm;
    c->kernels.gemm_way = cublas_gemm_way;
    return true;
}

void cublas_close(Cuda *c)
{
    Blas *b = (Blas *)c->blas;
    const Run run = {c, NULL, 0, NULL};
    if (!b)
        return;
    if (b->handle)
        (void)b->cublasDestroy_v2(b->handle);
    cuda_free(&run, c->heap, b->work, WORK_BYTES);
    heap_free(c->heap, b, sizeof *b);
    c->blas = NULL;
}

#endif
