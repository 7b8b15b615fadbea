// A network compiled for one engine: steps, and where every value, tangent and cotangent lives.
#ifndef LQF_PLAN_H
#define LQF_PLAN_H

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "replays.h"

namespace lqf {

// What flows between steps. Per image: [ceil(c / B), h, w, B] floats. Value 0 is the image, value i + 1 the output of node i.
struct Value {
    int c = 0, h = 0, w = 0;
    int64_t floats = 0;    // of one image
    int storage = 0;       // the value whose buffer this one shares: itself, unless a leaky ReLU works in place
    bool live = false;     // the output depends on it
    bool tangent = false;  // it depends on a linearised parameter
    bool kept = false;     // jvp or vjp need it: it has room for max_batch images, others for one micro-batch
    float slope = 1;       // of the leaky ReLU that a convolution ended with to make it; 1: none
    bool masked = false;   // a reader of it multiplies x_bar by the slopes of that leaky ReLU: Step::masks0
    int64_t x = 0, x_dot = 0, x_bar = 0;  // offsets in floats: x into `kept` or `scratch`, the others into `scratch`
};

struct Step {
    lqf_node node;
    int index;  // of the node
    std::string name;
    int in0, in1,
        out;  // values; in1 = -1 if there is none. A convolution adds in1 and ends with the leaky ReLU of out's slope
    Conv2d conv{};  // n is set when the step runs
    Pool2d pool{};
    Subsample subsample{};
    BatchNorm norm{};
    bool in_place = false;
    bool accumulate0 = false, accumulate1 = false;  // its cotangent for in0, in1 is not the first that arrives there
    bool masks0 =
        false;  // a convolution's is the last that arrives at in0, which ends with a leaky ReLU: it applies that one's slopes
    int64_t w0 = 0, w0_transposed = 0,
            delta = 0;  // packed weights: offsets in floats into `weights`, delta into `deltas`
    int64_t statistics =
        0;               // batch_norm: mean, variance, gamma_bar, beta_bar, [4, c]: offset in floats into `statistics`
    int64_t argmax = 0;  // offset in ints into `argmax`, [max_batch, floats]
};

class Plan {
public:
    Plan(const std::shared_ptr<Engine>& engine, std::vector<lqf_node> nodes, const std::vector<std::string>& names,
         int channels, int height, int width, const lqf_vector* parameters, int max_batch);

    // All of these want a Session. images and scores are the host's, unless said otherwise.
    void set_parameters(const lqf_vector* parameters);
    void forward(const float* images, int n);
    void forward_on_device(const float* images, int n);
    void forward_jvp(const float* images, int n, const lqf_vector* delta, float* out);
    void forward_jvp_on_device(const float* images, int n, const lqf_vector* delta, float* out);
    void outputs(float* out);
    void statistics(float* out);
    void jvp(const lqf_vector* delta, float* out);
    void vjp(const float* cotangent, float* gradient);
    void displacement(const float* delta, float* out);
    void jacobian(float* rows, int64_t first, int64_t length, int classes);
    void check_whole_layers(int64_t begin, int64_t end) const;
    void predict(const lqf_vector* delta, const float* images, int n, float* scores);
    void predict_on_device(const lqf_vector* delta, const float* images, int n, float* scores);

    // Calls work(first, n) for all images of the last forward, at most so many at a time: in order, or with lanes(), if they are more than
    // one, by threads side by side, begun in order.
    void each_batch(int most, int lanes, const std::function<void(int first, int n)>& work);

    // Walks back from cotangent [n, C] of images first ... first + n - 1 of the last forward, n <= micro_batch(); at every linearised
    // conv2d calls at(step, conv, x, y_bar). The walk ends at steps()[last], which has weights.
    using AtConv = std::function<void(const Step&, const Conv2d&, const float* x, const float* y_bar)>;
    void reverse(int first, int n, const float* cotangent, const AtConv& at, size_t last = 0);

    // Cotangents for reverse, on the device: e_c of each of up to micro_batch() images.
    const float* unit_cotangents(int c) const { return units_.as<float>() + classes() - 1 - c; }

    // At every linearised conv2d calls at(step, conv, x) for the images of the last forward, some at a time in order: inputs are kept.
    void each_input(const std::function<void(const Step&, const Conv2d&, const float* x)>& at);

    Engine& engine() const { return *engine_; }
    const std::shared_ptr<Engine>& shared_engine() const { return engine_; }
    const std::vector<Step>& steps() const { return steps_; }
    int max_batch() const { return max_batch_; }
    int micro_batch() const { return micro_; }
    int lanes() const { return lanes_; }
    int images() const { return images_; }          // of the last forward; 0 before
    int64_t identity() const { return identity_; }  // no other plan ever has it
    int64_t image_floats() const { return int64_t(values_[0].c) * values_[0].h * values_[0].w; }
    int classes() const { return values_.back().c; }
    int64_t parameters() const { return parameters_; }
    int64_t statistics_floats() const;  // of statistics(); 0: there is no batch_norm
    int64_t own_bytes() const {
        return int64_t(kept_.bytes() + weights_.bytes() + deltas_.bytes() + argmax_.bytes() + statistics_.bytes() +
                       scores_.bytes() + units_.bytes());
    }
    int64_t shared_bytes() const { return lanes_ * lane_floats_ * int64_t(sizeof(float)); }
    std::string describe() const;

private:
    int shared_micro(int64_t widest) const;
    int own_micro(int64_t widest) const;
    void check_node(const lqf_node& node, int index) const;
    Step step_of(const lqf_node& node, int index, const std::string& name);
    void drop_dead_steps();
    void fuse_epilogues();
    void mark_tangent_and_kept();
    void place_buffers();
    std::vector<int> readers() const;

    enum Verb { kForward, kJvp, kVjp, kJacobian, kPredict, kForwardJvp };

    const float* arrive(const float* images, int n);  // to the device
    void replay(Verb verb, const void* in0, const void* in1, const void* out, const std::function<void()>& work,
                int64_t part = 0, int64_t first = 0, int64_t length = 0, int classes = 0) {
        replays_.run(
            engine_->queue.get(),
            {verb, images_, in0, in1, out, engine_->scratch.as<void>(), identity_, part, first, length, classes}, work);
    }
    const float* to_pack(const lqf_vector* delta);  // null if it is packed
    void pack(const float* delta);
    void import_images(const float* images, int first, int m);
    void forward_step(const Step& step, int first, int m);
    void jvp_step(const Step& step, int first, int m);
    using Arrived = std::function<void(int first, int m)>;
    void forward_with_jvp(Verb verb, const lqf_vector* delta, const float* images, int n, const void* out,
                          const Arrived& arrived);
    void step_with_jvp(const Step& step, int first, int m);
    using Depart = std::function<void(int first, int m, const float* scores)>;  // [m, C]
    void predict(const lqf_vector* delta, const float* images, int n, const void* out, const Depart& depart);
    void export_change(int m, float* out);  // J delta of the images that arrived; zeros where nothing moves
    Epilogue epilogue(const Step& step, int first) const;

    float* x(int value, int first) const;  // the value of images first ... in the kept or shared buffer
    float* statistics_of(const Step& step, int row) const {
        return statistics_.as<float>() + step.statistics + int64_t(row) * step.norm.c;
    }
    float* scratch(int64_t offset) const {
        return engine_->scratch.as<float>() + Threads::current() * lane_floats_ + offset;
    }
    const float* x_dot(int value) const;  // null if it has no tangent
    const float* w0(const Step& step) const { return weights_.as<float>() + step.w0; }
    const float* delta_of(const Step& step) const {
        return step.node.linearised ? deltas_.as<float>() + step.delta : nullptr;
    }

    std::shared_ptr<Engine> engine_;
    const Ops& ops_;
    std::vector<Value> values_;
    std::vector<Step> steps_;  // live ones only
    std::vector<Step> fused_;  // live ones that a convolution has taken over
    const int64_t identity_ = next_revision();
    int64_t parameters_;
    int max_batch_;
    int micro_;  // images that go through the network together: their values stay in cache; with batch_norm all of them
    int lanes_ = 1;  // threads that take a micro-batch to and fro alone, each in its cache; 1: all share one
    int images_ = 0;
    int64_t lane_floats_ = 0;  // of scratch, which other plans share
    Memory kept_, weights_, deltas_, argmax_, statistics_;
    int64_t packed_delta_ = 0;                   // revision of the vector in deltas_
    Memory scores_;                              // of predict: f(x; w0) and J delta, [2, max_batch, C]
    Memory units_;                               // [micro_batch + 1, C], a one at the end of each row
    Replays replays_;                            // of all verbs
    std::unique_ptr<std::atomic<int>[]> added_;  // of vjp: the images whose gradients each step has added
};

}  // namespace lqf

struct lqf_plan {
    lqf::Plan plan;
};

#endif
