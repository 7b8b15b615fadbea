#include <algorithm>
#include <cfloat>
#include <vector>

#include "jacobi.cuh"
#include "layout.cuh"
#include "product_tile.cuh"

namespace lqf::gpu {
namespace {

constexpr int kHalf = 16, kSide = 2 * kHalf;  // of a block of indices, of a pair
constexpr int kPairThreads = 64;
constexpr int kSweeps = 60;
constexpr double kOff = 1e-30;  // done: squares off the diagonal are this part of all, times the side
constexpr size_t kGroupBytes = size_t(256)
                               << 20;  // of the matrices that are worked on together, unless one alone is larger
enum State : int { kRunning = 0, kDone = 1, kFailed = 2 };

// One matrix at work. Rows and columns up to a whole number of pairs; those beyond the side are zero and never turn.
struct Work {
    JacobiProblem problem;
    double *a, *v;  // [padded, padded]
    double* turns;  // [pairs, 32, 32]: of this round
    double* sums;   // [padded / 32, 2]: squares, of all entries and off the diagonal, by 32 rows
    int* ranks;     // [side]
    int* state;

    __host__ __device__ int pairs() const { return int(ceil_div<int64_t>(problem.side, kSide)); }
    __host__ __device__ int64_t padded_side() const { return int64_t(pairs()) * kSide; }
};

// Round robin of an even number of players, count - 1 rounds: slot 0 sits, the others move on by one; slot s meets slot count - 1 - s.
__host__ __device__ inline int player(int count, int round, int slot) {
    return slot == 0 ? 0 : 1 + (slot - 1 + round) % (count - 1);
}

// The index in the matrix of entry 0 ... 31 of a pair.
struct Pair {
    int64_t first, second;  // of its two blocks
    __device__ Pair(int pairs, int round, int number)
        : first(player(2 * pairs, round, number) * kHalf),
          second(player(2 * pairs, round, 2 * pairs - 1 - number) * kHalf) {}
    __device__ int64_t operator[](int entry) const { return (entry < kHalf ? first : second) + entry % kHalf; }
};

__global__ void __launch_bounds__(kThreads) prepare_kernel(const Work* works) {
    const Work& w = works[blockIdx.y];
    const int64_t side = w.problem.side, padded_side = w.padded_side(), entry = global_thread();
    if (entry >= padded_side * padded_side) return;
    const int64_t i = entry / padded_side, j = entry % padded_side;
    w.a[entry] = i < side && j < side ? w.problem.a[i * side + j] / w.problem.divisor : 0.0;
    w.v[entry] = i == j ? 1.0 : 0.0;
}

// ---- one round: solve the pairs, turn the tiles -----------------------------------------------------------------------------------------

using Square = double[kSide][kSide + 1];

struct SolveShared {
    Square s, q;
    double c[kHalf], d[kHalf];  // cosine and sine of a rotation
};

// One sweep of rotations of the pair's own problem s; q collects them: s = q (what s was) q^T.
__device__ void turn_pair(SolveShared& m) {
    const int t = int(threadIdx.x);
    for (int round = 0; round < kSide - 1; round++) {
        if (t < kHalf) {
            const int p = player(kSide, round, t), q = player(kSide, round, kSide - 1 - t);
            const double off = m.s[p][q];
            m.c[t] = 1, m.d[t] = 0;
            if (off != 0) {
                const double theta = (m.s[q][q] - m.s[p][p]) / (2 * off);
                const double tangent = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                m.c[t] = 1 / sqrt(tangent * tangent + 1);
                m.d[t] = tangent * m.c[t];
            }
        }
        __syncthreads();
        // entries where two rotations meet, on and below the diagonal of rotations, and their mirror images
        for (int cross = t; cross < int(triangle_size(kHalf)); cross += kPairThreads) {
            const TrianglePlace at = triangle_place(cross);
            const int p[2] = {player(kSide, round, at.row), player(kSide, round, kSide - 1 - at.row)};
            const int q[2] = {player(kSide, round, at.column), player(kSide, round, kSide - 1 - at.column)};
            const double c = m.c[at.row], d = m.d[at.row], e = m.c[at.column], f = m.d[at.column];
            double x[2][2];
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const double above = m.s[p[0]][q[j]], below = m.s[p[1]][q[j]];
                x[0][j] = c * above - d * below;
                x[1][j] = d * above + c * below;
            }
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const double left = x[i][0], right = x[i][1];
                x[i][0] = e * left - f * right;
                x[i][1] = f * left + e * right;
            }
            if (at.row == at.column)
                x[0][1] = x[1][0] = 0;  // up to rounding, which would otherwise stop the convergence
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < 2; j++) m.s[p[i]][q[j]] = m.s[q[j]][p[i]] = x[i][j];
        }
        for (int item = t; item < kHalf * kSide; item += kPairThreads) {
            const int rotation = item / kSide, column = item % kSide;
            double& x = m.q[player(kSide, round, rotation)][column];
            double& y = m.q[player(kSide, round, kSide - 1 - rotation)][column];
            const double old = x;
            x = m.c[rotation] * old - m.d[rotation] * y;
            y = m.d[rotation] * old + m.c[rotation] * y;
        }
        __syncthreads();
    }
}

__global__ void __launch_bounds__(kPairThreads) solve_kernel(const Work* works, int round) {
    const Work& w = works[blockIdx.y];
    const int number = int(blockIdx.x), pairs = w.pairs();
    if (number >= pairs || round >= 2 * pairs - 1 || *w.state != kRunning) return;
    const Pair pair(pairs, round, number);
    const int64_t stride = w.padded_side();
    SolveShared& m = shared<SolveShared>();
    for (int entry = int(threadIdx.x); entry < kSide * kSide; entry += kPairThreads) {
        const int i = entry / kSide, j = entry % kSide;
        m.s[i][j] = w.a[pair[i] * stride + pair[j]];
        m.q[i][j] = i == j ? 1.0 : 0.0;
    }
    __syncthreads();
    turn_pair(m);
    double* turn = w.turns + number * (kSide * kSide);
    for (int entry = int(threadIdx.x); entry < kSide * kSide; entry += kPairThreads) {
        const int i = entry / kSide, j = entry % kSide;
        w.a[pair[i] * stride + pair[j]] = m.s[i][j];
        turn[entry] = m.q[i][j];
    }
}

struct TurnShared {
    Square left, right, tile, product;
};

// out = left x right, or left x right^T; a thread for 4 x 4 entries
template <bool kTransposed, typename Each>
__device__ void multiply(const Square& left, const Square& right, const Each& each) {
    const int row = int(threadIdx.x) / 8, column = int(threadIdx.x) % 8;
    double sum[4][4] = {};
#pragma unroll 4
    for (int k = 0; k < kSide; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                sum[i][j] += left[row + 8 * i][k] * (kTransposed ? right[column + 8 * j][k] : right[k][column + 8 * j]);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) each(row + 8 * i, column + 8 * j, sum[i][j]);
}

// Blocks below triangle_size(pairs - 1): tiles of a where two different pairs meet, q_i tile q_j^T, and their mirror images; the others: tiles
// of v, q_i tile.
__global__ void __launch_bounds__(kPairThreads) turn_kernel(const Work* works, int round) {
    const Work& w = works[blockIdx.y];
    const int pairs = w.pairs(), meetings = int(triangle_size(pairs - 1)), number = int(blockIdx.x);
    if (number >= meetings + pairs * pairs || round >= 2 * pairs - 1 || *w.state != kRunning) return;
    TurnShared& s = shared<TurnShared>();
    const bool meeting = number < meetings;
    const TrianglePlace place = triangle_place(meeting ? number : 0);
    const int i = meeting ? place.row + 1 : (number - meetings) / pairs;
    const int j = meeting ? place.column : (number - meetings) % pairs;  // a pair, or 32 columns of v
    const Pair rows(pairs, round, i), columns(pairs, round, meeting ? j : 0);
    const int64_t stride = w.padded_side();
    double* matrix = meeting ? w.a : w.v;
    auto at = [&](int row, int column) {
        return rows[row] * stride + (meeting ? columns[column] : int64_t(j) * kSide + column);
    };
    for (int entry = int(threadIdx.x); entry < kSide * kSide; entry += kPairThreads) {
        const int row = entry / kSide, column = entry % kSide;
        s.left[row][column] = w.turns[i * (kSide * kSide) + entry];
        if (meeting) s.right[row][column] = w.turns[j * (kSide * kSide) + entry];
        s.tile[row][column] = matrix[at(row, column)];
    }
    __syncthreads();
    multiply<false>(s.left, s.tile, [&](int row, int column, double sum) { s.product[row][column] = sum; });
    __syncthreads();
    if (meeting) {
        multiply<true>(s.product, s.right, [&](int row, int column, double sum) { s.tile[row][column] = sum; });
        __syncthreads();
    }
    const Square& result = meeting ? s.tile : s.product;
    for (int entry = int(threadIdx.x); entry < kSide * kSide; entry += kPairThreads) {
        const int row = entry / kSide, column = entry % kSide;
        matrix[at(row, column)] = result[row][column];
        if (meeting) matrix[columns[row] * stride + rows[column]] = result[column][row];
    }
}

// ---- between sweeps: is it diagonal? ----------------------------------------------------------------------------------------------------

// Squares of 32 rows; a thread for a column of each 32.
__global__ void __launch_bounds__(kSide) measure_kernel(const Work* works) {
    const Work& w = works[blockIdx.y];
    const int block = int(blockIdx.x);
    if (block >= w.pairs() || *w.state != kRunning) return;
    const int64_t stride = w.padded_side();
    double all = 0, off = 0;
    for (int64_t i = int64_t(block) * kSide; i < (block + 1) * kSide; i++)
        for (int64_t j = threadIdx.x; j < stride; j += kSide) {
            const double square = w.a[i * stride + j] * w.a[i * stride + j];
            all += square;
            if (i != j) off += square;
        }
    for (int distance = 16; distance > 0; distance /= 2) {
        all += __shfl_xor_sync(kFullWarp, all, distance);
        off += __shfl_xor_sync(kFullWarp, off, distance);
    }
    if (threadIdx.x == 0) w.sums[2 * block] = all, w.sums[2 * block + 1] = off;
}

__global__ void judge_kernel(const Work* works) {
    const Work& w = works[blockIdx.x];
    if (*w.state != kRunning) return;
    double all = 0, off = 0;
    for (int block = 0; block < w.pairs(); block++) all += w.sums[2 * block], off += w.sums[2 * block + 1];
    if (!(all <= DBL_MAX))
        *w.state = kFailed;
    else if (off <= kOff * double(w.problem.side) * all)
        *w.state = kDone;
}

// ---- at the end: by ascending value -----------------------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads) rank_kernel(const Work* works) {
    const Work& w = works[blockIdx.y];
    const int64_t side = w.problem.side, stride = w.padded_side() + 1, i = global_thread();
    if (i >= side || *w.state != kDone) return;
    const double value = w.a[i * stride];
    int rank = 0;
    for (int64_t j = 0; j < side; j++) rank += w.a[j * stride] < value || (w.a[j * stride] == value && j < i);
    w.ranks[i] = rank;
    w.problem.values[rank] = value;
}

__global__ void __launch_bounds__(kThreads) permute_kernel(const Work* works) {
    const Work& w = works[blockIdx.y];
    const int64_t side = w.problem.side, entry = global_thread();
    if (entry >= side * side || *w.state != kDone) return;
    const int64_t row = entry / side, column = entry % side, to = w.ranks[row] * side + column;
    const double value = w.v[row * w.padded_side() + column];
    if (w.problem.vectors)
        w.problem.vectors[to] = float(value);
    else
        w.problem.rows[to] = value;
}

// Gives out parts of a scratch.
struct Parts {
    const Scratch* scratch = nullptr;  // null: only count
    size_t bytes = 0;
    template <typename T>
    T* take(int64_t count) {
        T* part = scratch ? scratch->at<T>(bytes) : nullptr;
        bytes += padded(size_t(count) * sizeof(T));
        return part;
    }
};

Work work_of(const JacobiProblem& problem, Parts& parts) {
    Work w{problem, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
    const int64_t entries = w.padded_side() * w.padded_side();
    w.a = parts.take<double>(entries);
    w.v = parts.take<double>(entries);
    w.turns = parts.take<double>(int64_t(w.pairs()) * kSide * kSide);
    w.sums = parts.take<double>(2 * w.pairs());
    w.ranks = parts.take<int>(problem.side);
    return w;
}

void sweep(const Work* works, int matrices, int pairs) {
    const auto count = unsigned(matrices);
    const dim3 solved(unsigned(pairs), count),
        turned(unsigned(triangle_size(pairs - 1) + int64_t(pairs) * pairs), count);
    for (int round = 0; round < 2 * pairs - 1; round++) {
        LQF_LAUNCH(solve_kernel, solved, dim3(kPairThreads), sizeof(SolveShared), stream(), works, round);
        LQF_LAUNCH(turn_kernel, turned, dim3(kPairThreads), sizeof(TurnShared), stream(), works, round);
    }
}

void solve_group(int count, const JacobiProblem* problems, int64_t* failures) {
    Parts needed;
    needed.take<int>(count);
    needed.take<Work>(count);
    for (int i = 0; i < count; i++) work_of(problems[i], needed);
    const Scratch scratch(needed.bytes);
    Parts parts{&scratch};
    int* state = parts.take<int>(count);
    Work* works = parts.take<Work>(count);
    std::vector<Work> on_host;
    for (int i = 0; i < count; i++) {
        on_host.push_back(work_of(problems[i], parts));
        on_host.back().state = state + i;
    }
    copy_in(works, on_host.data(), size_t(count) * sizeof(Work));
    CUDA_CHECK(cudaMemsetAsync(state, 0, size_t(count) * sizeof(int), stream()));
    const int pairs = on_host[0].pairs();
    const int64_t side = problems[0].side, padded_side = on_host[0].padded_side();
    const auto matrices = unsigned(count);
    LQF_LAUNCH(prepare_kernel, dim3(grid_of(padded_side * padded_side).x, matrices), dim3(kThreads), 0, stream(),
               works);
    std::vector<int> states(size_t(count), kRunning);
    for (int sweeps = 0;; sweeps++) {
        LQF_LAUNCH(measure_kernel, dim3(unsigned(pairs), matrices), dim3(kSide), 0, stream(), works);
        LQF_LAUNCH(judge_kernel, dim3(matrices), dim3(1), 0, stream(), works);
        copy_out(states.data(), state, size_t(count) * sizeof(int));
        if (sweeps == kSweeps || std::count(states.begin(), states.end(), int(kRunning)) == 0) break;
        sweep(works, count, pairs);
    }
    LQF_LAUNCH(rank_kernel, dim3(grid_of(side).x, matrices), dim3(kThreads), 0, stream(), works);
    LQF_LAUNCH(permute_kernel, dim3(grid_of(side * side).x, matrices), dim3(kThreads), 0, stream(), works);
    for (int i = 0; i < count; i++) failures[i] = states[size_t(i)] == kDone ? 0 : 1;
}

}  // namespace

void jacobi(int count, const JacobiProblem* problems, int64_t* failures) {
    auto bytes_of = [](const JacobiProblem& problem) {
        Parts parts;
        work_of(problem, parts);
        return parts.bytes;
    };
    for (int first = 0; first < count;) {
        size_t bytes = bytes_of(problems[first]);
        int last = first + 1;
        while (last < count && bytes + bytes_of(problems[last]) <= kGroupBytes) bytes += bytes_of(problems[last++]);
        solve_group(last - first, problems + first, failures + first);
        first = last;
    }
}

}  // namespace lqf::gpu
