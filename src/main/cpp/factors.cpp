// Kronecker factors of the Gauss-Newton matrix (Martens & Grosse 2015; convolutions: Grosse & Martens 2016; expand and reduce:
// Eschenhagen et al. 2023). The Hessian of half a squared error is the identity in output space, so the output factor needs cotangents u
// with E[u u^T] = I: e_1 ... e_C summed (exact) or Rademacher probes. Labels and residuals never enter.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <tuple>

#include "plan.h"
#include "replays.h"

namespace lqf {

namespace {

// One linearised layer. Its gradient as a matrix is [oc, in1] = [dL/dW | dL/db], its block of the Gauss-Newton matrix gamma (x) a.
struct Layer {
    std::string name;
    int64_t weight_offset, bias_offset;
    int64_t in1, oc;                   // sides of a and gamma
    double square;                     // of the layer's unit: gamma is by delta, kron_output's by the weights
    Memory a, gamma;                   // double; the mean factors are a / a_divisor and gamma / gamma_divisor
    double a_divisor = 1;              // the number of images, or 1 after a write
    double gamma_divisor = 1;          // the same over square, or 1
    int64_t gamma_offset;              // of this layer's gamma in the sums of one image
    Memory left, right;                // factored: the damped inverses; exact: eigenvectors as rows
    Memory left_values, right_values;  // exact: eigenvalues, double
    Memory scratch;                    // of precondition
};

constexpr int64_t kGroupEntries = 8 << 20;  // of output factors that are summed at a time: 64 MB, or those of one image

bool is_factored(const Step& step) {
    return (step.node.op == LQF_CONV2D || step.node.op == LQF_LINEAR) && step.node.linearised;
}

// A sign from (seed, image, probe, class): splitmix64's finaliser.
float rademacher(uint64_t seed, uint64_t image, uint64_t probe, uint64_t c) {
    uint64_t z = seed;
    for (uint64_t part : {image, probe, c}) {
        z += part + 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        z ^= z >> 31;
    }
    return z & 1 ? 1.0f : -1.0f;
}

void set_zero(Engine& engine, int64_t count, double* values) {
    engine.ops.fill(engine.threads, 2 * count, 0.0f, reinterpret_cast<float*>(values));
}

}  // namespace

class Factors {
public:
    Factors(const Plan& plan, bool reduce);

    void accumulate(Plan& plan, int probes, uint64_t seed);
    void invert(double damping, bool exact);
    void precondition(const float* gradient, float* step);

    Engine& engine() const { return *engine_; }
    const std::shared_ptr<Engine>& shared_engine() const { return engine_; }
    int64_t parameters() const { return parameters_; }
    bool inverted() const { return damping_ > 0; }
    int64_t samples() const { return samples_; }
    int layers() const { return int(layers_.size()); }
    const Layer& layer(int index) const { return layers_[size_t(index)]; }
    void read(int index, double* a, double* gamma) const;
    void write(int index, int64_t samples, const double* a, const double* gamma);

private:
    void check_layers(const Plan& plan) const;
    Layer& layer_of(const Step& step);
    void add_images(Plan& plan, int probes, uint64_t seed);
    void reserve(Memory& memory, size_t bytes, const char* purpose);
    void draw_probes(const Plan& plan, int probes, uint64_t seed);
    void accumulate_inputs(Plan& plan);
    double* sums() const { return sums_.as<double>() + Threads::current() * group_ * gamma_entries_; }
    using Walk = std::function<void(int first, int n, const float* cotangent)>;
    void accumulate_outputs(Plan& plan, int probes, const Walk& walk);
    void walk_back(Plan& plan, int first, int n, const float* cotangent);
    double pi(const Layer& layer) const;

    std::shared_ptr<Engine> engine_;
    const Ops& ops_;
    std::vector<Layer> layers_;
    int64_t parameters_;
    bool reduce_;
    int64_t gamma_entries_ = 0;  // of all layers
    int group_ = 1, lanes_ = 1;  // of accumulate: images that are summed at a time, by so many threads side by side
    Memory sums_;                // of accumulate: their output factors, [lanes, group, gamma_entries], double
    Memory probes_;              // of accumulate: Rademacher cotangents, [probes, n, C]
    Memory cotangent_;           // of accumulate: that of the walk that is replayed, [group, C]
    Replays accumulations_;
    int64_t samples_ = 0;
    double damping_ = 0;               // of the last invert; 0: none
    std::vector<KronLayer> inverted_;  // what precondition needs
    Replays replays_;                  // of precondition, since the last invert
};

Factors::Factors(const Plan& plan, bool reduce)
    : engine_(plan.shared_engine()), ops_(engine_->ops), parameters_(plan.parameters()), reduce_(reduce) {
    for (const Step& step : plan.steps()) {
        if (!is_factored(step)) continue;
        Layer layer;
        layer.name = step.name;
        layer.weight_offset = step.node.weight_offset;
        layer.bias_offset = step.node.bias_offset;
        layer.in1 = step.conv.patch() + 1;
        layer.oc = step.conv.oc;
        layer.square = double(step.conv.unit) * step.conv.unit;
        layer.gamma_offset = gamma_entries_;
        gamma_entries_ += layer.oc * layer.oc;
        for (auto [memory, side] : {std::pair{&layer.a, layer.in1}, std::pair{&layer.gamma, layer.oc}}) {
            *memory = Memory(*engine_, size_t(side * side) * sizeof(double), "Kronecker factors");
            set_zero(*engine_, side * side, memory->as<double>());
        }
        layers_.push_back(std::move(layer));
    }
}

// The layers must be those of the plan, all of them: a layer left out would have fewer images than samples_ says.
void Factors::check_layers(const Plan& plan) const {
    size_t index = 0;
    for (const Step& step : plan.steps()) {
        if (!is_factored(step)) continue;
        bool same = index < layers_.size() && layers_[index].weight_offset == step.node.weight_offset &&
                    layers_[index].in1 == step.conv.patch() + 1 && layers_[index].oc == step.conv.oc &&
                    layers_[index].square == double(step.conv.unit) * step.conv.unit;
        LQF_CHECK(
            same,
            "layer \"%s\" is not among the factors: create them from a plan that linearises the same layers in the "
            "same units",
            step.name.c_str());
        index++;
    }
    LQF_CHECK(index == layers_.size(), "the plan does not linearise \"%s\", the factors do: create them from this plan",
              layers_[index].name.c_str());
}

Layer& Factors::layer_of(const Step& step) {
    return *std::find_if(layers_.begin(), layers_.end(),
                         [&](const Layer& layer) { return layer.weight_offset == step.node.weight_offset; });
}

void Factors::accumulate(Plan& plan, int probes, uint64_t seed) {
    check_layers(plan);
    damping_ = 0;
    for (Layer& layer : layers_) {
        if (layer.a_divisor == double(samples_)) continue;  // unless it was written
        for (auto [sum, factor] : {std::pair{&layer.a, double(samples_) / layer.a_divisor},
                                   std::pair{&layer.gamma, double(samples_) / layer.square / layer.gamma_divisor}})
            ops_.scale_doubles(engine_->threads, int64_t(sum->bytes() / sizeof(double)), factor, sum->as<double>());
    }
    if (!layers_.empty()) add_images(plan, probes, seed);
    samples_ += plan.images();
    for (Layer& layer : layers_) {
        layer.a_divisor = double(samples_);
        layer.gamma_divisor = double(samples_) / layer.square;
    }
}

void Factors::add_images(Plan& plan, int probes, uint64_t seed) {
    const int n = plan.images(), passes = probes > 0 ? probes : plan.classes();
    lanes_ = plan.lanes() * gamma_entries_ <= kGroupEntries ? plan.lanes() : 1;
    group_ = int(std::clamp<int64_t>(kGroupEntries / (lanes_ * gamma_entries_), 1, plan.micro_batch()));
    reserve(sums_, size_t(lanes_ * group_ * gamma_entries_) * sizeof(double), "output factors of single images");
    if (probes > 0) draw_probes(plan, probes, seed);
    const int64_t walks = int64_t(passes) * ((n + group_ - 1) / group_);
    Queue* queue = engine_->queue.get();
    auto replay = [&](const float* cotangent, int64_t part, const std::function<void()>& work) {
        accumulations_.run(
            queue,
            {probes, n, cotangent, nullptr, sums_.as<void>(), engine_->scratch.as<void>(), plan.identity(), part},
            work);
    };
    if (!queue || walks <= Replays::kMostWalks) {
        replay(probes > 0 ? probes_.as<float>() : nullptr, 0, [&] {
            accumulate_inputs(plan);
            accumulate_outputs(plan, probes,
                               [&](int first, int m, const float* cotangent) { walk_back(plan, first, m, cotangent); });
        });
        return;
    }
    // One walk of every group is captured and replayed for each pass, with the cotangent in a place that stays.
    reserve(cotangent_, size_t(group_) * size_t(plan.classes()) * sizeof(float), "a cotangent");
    float* place = cotangent_.as<float>();
    accumulate_inputs(plan);
    accumulate_outputs(plan, probes, [&](int first, int m, const float* cotangent) {
        ops_.copy(engine_->threads, int64_t(m) * plan.classes(), cotangent, place);
        replay(place, 1 + first, [&] { walk_back(plan, first, m, place); });
    });
}

// Makes it at least that long; what it held is lost.
void Factors::reserve(Memory& memory, size_t bytes, const char* purpose) {
    if (memory.bytes() < bytes) memory = Memory(*engine_, bytes, purpose);
}

void Factors::draw_probes(const Plan& plan, int probes, uint64_t seed) {
    const float weight = float(1 / std::sqrt(double(probes)));  // the mean over probes
    std::vector<float> host;
    for (int pass = 0; pass < probes; pass++)
        for (int i = 0; i < plan.images(); i++)
            for (int c = 0; c < plan.classes(); c++)
                host.push_back(weight * rademacher(seed, uint64_t(samples_ + i), uint64_t(pass), uint64_t(c)));
    reserve(probes_, host.size() * sizeof(float), "probes");
    ops_.copy_in(probes_.as<float>(), host.data(), host.size() * sizeof(float));
}

void Factors::accumulate_inputs(Plan& plan) {
    plan.each_input([&](const Step& step, const Conv2d& conv, const float* x) {
        ops_.kron_input(engine_->threads, conv, x, reduce_, layer_of(step).a.as<double>());
    });
}

// The passes of one image are summed apart, then the images in order: the same bits however the images are split into batches.
void Factors::accumulate_outputs(Plan& plan, int probes, const Walk& walk) {
    const int classes = plan.classes(), passes = probes > 0 ? probes : classes;
    std::atomic<int> added{0};  // images
    plan.each_batch(group_, lanes_, [&](int first, int n) {
        set_zero(*engine_, n * gamma_entries_, sums());
        for (int pass = 0; pass < passes; pass++)
            walk(first, n,
                 probes > 0 ? probes_.as<float>() + (int64_t(pass) * plan.images() + first) * classes
                            : plan.unit_cotangents(pass));
        engine_->threads.wait_for([&] { return added == first; });
        for (Layer& layer : layers_)
            ops_.add_doubles(engine_->threads, layer.oc * layer.oc, n, sums() + layer.gamma_offset, gamma_entries_,
                             layer.gamma.as<double>());
        added = first + n;
    });
}

// Adds what one pass gives to the sums of n images.
void Factors::walk_back(Plan& plan, int first, int n, const float* cotangent) {
    plan.reverse(first, n, cotangent, [&](const Step& step, const Conv2d& conv, const float*, const float* y_bar) {
        ops_.kron_output(engine_->threads, conv, y_bar, reduce_, sums() + layer_of(step).gamma_offset, gamma_entries_);
    });
}

// Balances the damping of the two factors: pi^2 is the mean eigenvalue of A over that of Gamma (Martens & Grosse 2015, section 6.3).
double Factors::pi(const Layer& layer) const {
    const double a = ops_.trace(engine_->threads, layer.in1, layer.a.as<double>(), layer.a_divisor) / double(layer.in1);
    const double gamma =
        ops_.trace(engine_->threads, layer.oc, layer.gamma.as<double>(), layer.gamma_divisor) / double(layer.oc);
    return a > 0 && gamma > 0 ? std::sqrt(a / gamma) : 1.0;
}

void Factors::invert(double damping, bool exact) {
    LQF_CHECK(damping > 0 && std::isfinite(damping), "damping is %g, expected > 0", damping);
    LQF_CHECK(samples_ > 0, "no images accumulated yet");
    damping_ = 0;
    inverted_.clear();
    replays_.clear();
    struct Task {
        const Layer* layer;
        const char* factor;
        SpdInverse inverse;
        SymmetricEigen eigen;
    };
    std::vector<Task> tasks;
    for (Layer& layer : layers_) {
        auto allocate = [&](Memory& memory, int64_t entries, size_t size) {
            if (memory.bytes() == size_t(entries) * size) return;
            memory = Memory(*engine_, size_t(entries) * size, "inverted Kronecker factors");
        };
        allocate(layer.left, layer.oc * layer.oc, sizeof(float));
        allocate(layer.right, layer.in1 * layer.in1, sizeof(float));
        allocate(layer.left_values, exact ? layer.oc : 0, sizeof(double));
        allocate(layer.right_values, exact ? layer.in1 : 0, sizeof(double));
        allocate(layer.scratch, 2 * layer.oc * layer.in1, sizeof(float));
        inverted_.push_back({layer.oc, layer.in1, layer.weight_offset, layer.bias_offset, layer.left.as<float>(),
                             layer.right.as<float>(), layer.left_values.as<double>(), layer.right_values.as<double>(),
                             layer.scratch.as<float>()});
        const double pi = exact ? 1 : this->pi(layer), root = std::sqrt(damping);
        auto add = [&](const char* factor, int64_t side, const Memory& m, double divisor, double shift, Memory& out,
                       Memory& values) {
            tasks.push_back({&layer,
                             factor,
                             {side, m.as<double>(), divisor, shift, out.as<float>()},
                             {side, m.as<double>(), divisor, out.as<float>(), values.as<double>()}});
        };
        add("input", layer.in1, layer.a, layer.a_divisor, pi * root, layer.right, layer.right_values);
        add("output", layer.oc, layer.gamma, layer.gamma_divisor, root / pi, layer.left, layer.left_values);
    }
    std::stable_sort(tasks.begin(), tasks.end(),
                     [](const Task& a, const Task& b) { return a.inverse.side > b.inverse.side; });
    std::vector<SpdInverse> inverses;
    std::vector<SymmetricEigen> eigens;
    for (const Task& task : tasks) inverses.push_back(task.inverse), eigens.push_back(task.eigen);
    std::vector<int64_t> failures(tasks.size());
    if (exact)
        ops_.symmetric_eigen(engine_->threads, int(tasks.size()), eigens.data(), failures.data());
    else
        ops_.spd_inverse(engine_->threads, int(tasks.size()), inverses.data(), failures.data());
    for (size_t i = 0; i < tasks.size(); i++) {
        if (failures[i] == 0) continue;
        const char *layer = tasks[i].layer->name.c_str(), *factor = tasks[i].factor;
        const auto side = (long long)tasks[i].inverse.side, failure = (long long)failures[i];
        throw Error(LQF_NUMERIC,
                    exact
                        ? format("layer \"%s\": no eigendecomposition of its %s factor of side %lld (info %lld)", layer,
                                 factor, side, failure)
                        : format("layer \"%s\": its %s factor of side %lld is not positive definite at pivot %lld with "
                                 "damping %g; use a larger damping",
                                 layer, factor, side, failure, damping));
    }
    damping_ = damping;
}

void Factors::precondition(const float* gradient, float* step) {
    LQF_CHECK(inverted(), "call invert before precondition (accumulating or writing factors needs a new one)");
    replays_.run(engine_->queue.get(), {0, 0, gradient, nullptr, step, nullptr, 0, 0}, [&] {
        ops_.fill(engine_->threads, parameters_, 0.0f, step);
        ops_.kron_precondition(engine_->threads, layers(), inverted_.data(), damping_, gradient, step);
    });
}

void Factors::read(int index, double* a, double* gamma) const {
    const Layer& layer = layers_[size_t(index)];
    for (auto [target, source, divisor] :
         {std::tuple{a, &layer.a, layer.a_divisor}, std::tuple{gamma, &layer.gamma, layer.gamma_divisor}}) {
        if (!target) continue;
        ops_.copy_out(target, source->as<double>(), source->bytes());
        for (size_t i = 0; i < source->bytes() / sizeof(double); i++) target[i] /= divisor;
    }
}

// Keeps the means as they are: what was read and written back inverts to the same bits.
void Factors::write(int index, int64_t samples, const double* a, const double* gamma) {
    damping_ = 0;
    samples_ = samples;
    Layer& layer = layers_[size_t(index)];
    layer.a_divisor = layer.gamma_divisor = 1;
    ops_.copy_in(layer.a.as<double>(), a, layer.a.bytes());
    ops_.copy_in(layer.gamma.as<double>(), gamma, layer.gamma.bytes());
}

}  // namespace lqf

// ---- the C border -----------------------------------------------------------------------------------------------------------------

struct lqf_factors {
    lqf::Factors factors;
};

using namespace lqf;

namespace {

int32_t with(lqf_factors* factors, const std::function<void(Factors&)>& body) {
    return guard([&] {
        LQF_CHECK(factors, "factors is null");
        const Session session(factors->factors.engine());
        body(factors->factors);
    });
}

void check_folded(const Plan& plan) {
    LQF_CHECK(
        plan.statistics_floats() == 0,
        "Kronecker factors are for networks whose batch norm is folded; this plan normalises by its batch, to train at "
        "the current weights: fold it first");
}

void check_layer(const Factors& factors, int32_t layer) {
    LQF_CHECK(layer >= 0 && layer < factors.layers(), "layer %d of %d", layer, factors.layers());
}

}  // namespace

int32_t lqf_factors_create(lqf_plan* plan, int32_t sharing, lqf_factors** out) {
    return guard([&] {
        LQF_CHECK(plan && out, "plan or out is null");
        LQF_CHECK(sharing == LQF_EXPAND || sharing == LQF_REDUCE, "unknown weight sharing %d", sharing);
        const Session session(plan->plan.engine());
        check_folded(plan->plan);
        *out = new lqf_factors{Factors(plan->plan, sharing == LQF_REDUCE)};
    });
}

int32_t lqf_factors_destroy(lqf_factors* factors) {
    return guard([&] {
        if (factors) destroy(factors, factors->factors.shared_engine());
    });
}

int32_t lqf_factors_accumulate(lqf_factors* factors, lqf_plan* plan, int32_t probes, int64_t seed) {
    return with(factors, [&](Factors& f) {
        LQF_CHECK(plan, "plan is null");
        LQF_CHECK(&plan->plan.engine() == &f.engine(), "plan belongs to another engine");
        LQF_CHECK(plan->plan.images() > 0, "no forward yet: factors need the images at which to linearise");
        check_folded(plan->plan);
        LQF_CHECK(probes >= 0, "%d probes", probes);
        f.accumulate(plan->plan, probes, uint64_t(seed));
    });
}

int32_t lqf_factors_invert(lqf_factors* factors, double damping, int32_t kind) {
    return with(factors, [&](Factors& f) {
        LQF_CHECK(kind == LQF_DAMPING_FACTORED || kind == LQF_DAMPING_EXACT, "unknown kind of damping %d", kind);
        f.invert(damping, kind == LQF_DAMPING_EXACT);
    });
}

int32_t lqf_factors_precondition(lqf_factors* factors, lqf_vector* gradient, lqf_vector* step) {
    return with(factors, [&](Factors& f) {
        check_vector(gradient, &f.engine(), f.parameters(), "gradient");
        check_vector(step, &f.engine(), f.parameters(), "step");
        LQF_CHECK(gradient != step, "gradient and step are the same vector");
        f.precondition(gradient->data(), step->writable());
    });
}

int32_t lqf_factors_layers(lqf_factors* factors, int32_t* layers) {
    return with(factors, [&](Factors& f) {
        LQF_CHECK(layers, "layers is null");
        *layers = f.layers();
    });
}

int32_t lqf_factors_sides(lqf_factors* factors, int32_t layer, int32_t* input_side, int32_t* output_side) {
    return with(factors, [&](Factors& f) {
        LQF_CHECK(input_side && output_side, "input_side or output_side is null");
        check_layer(f, layer);
        *input_side = int32_t(f.layer(layer).in1);
        *output_side = int32_t(f.layer(layer).oc);
    });
}

int32_t lqf_factors_samples(lqf_factors* factors, int64_t* samples) {
    return with(factors, [&](Factors& f) {
        LQF_CHECK(samples, "samples is null");
        *samples = f.samples();
    });
}

int32_t lqf_factors_read(lqf_factors* factors, int32_t layer, double* input, double* output) {
    return with(factors, [&](Factors& f) {
        check_layer(f, layer);
        f.read(layer, input, output);
    });
}

int32_t lqf_factors_write(lqf_factors* factors, int32_t layer, int64_t samples, const double* input,
                          const double* output) {
    return with(factors, [&](Factors& f) {
        LQF_CHECK(input && output, "input or output is null");
        LQF_CHECK(samples > 0, "%lld samples", (long long)samples);
        check_layer(f, layer);
        f.write(layer, samples, input, output);
    });
}
