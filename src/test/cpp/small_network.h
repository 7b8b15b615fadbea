// A residual network with every op, for tests that run whole plans.
#ifndef LQF_SMALL_NETWORK_H
#define LQF_SMALL_NETWORK_H

#include <string>
#include <vector>

#include "lqf.h"

namespace lqf::testing {

inline lqf_node node(int op, int in0, int in1 = -1) {
    lqf_node n{};
    n.unit = 1;
    n.op = op, n.input0 = in0, n.input1 = in1, n.kernel_h = n.kernel_w = n.stride = 1, n.linearised = 1;
    return n;
}

// A residual network with every op, two blocks that fuse, a value with three readers, a leaky ReLU that cannot work in place and a node that nobody reads.
struct Network {
    std::vector<lqf_node> nodes;
    std::string names;
    int64_t parameters = 0;

    int add(lqf_node n, int in_channels = 0) {
        if (n.op == LQF_CONV2D || n.op == LQF_LINEAR) {
            n.weight_offset = parameters;
            parameters += int64_t(n.out_channels) * in_channels * n.kernel_h * n.kernel_w;
            n.bias_offset = parameters;
            parameters += n.out_channels;
        }
        names += "n" + std::to_string(nodes.size()) + "\n";
        nodes.push_back(n);
        return int(nodes.size()) - 1;
    }
    int conv(int in, int ic, int oc, int kernel, int stride, int pad) {
        lqf_node n = node(LQF_CONV2D, in);
        n.out_channels = oc, n.kernel_h = n.kernel_w = kernel, n.stride = stride, n.padding = pad;
        return add(n, ic);
    }
    int relu(int in, float slope) {
        lqf_node n = node(LQF_LEAKY_RELU, in);
        n.slope = slope;
        return add(n);
    }
    int pool(int op, int in, int kernel, int stride, int pad) {
        lqf_node n = node(op, in);
        n.kernel_h = n.kernel_w = kernel, n.stride = stride, n.padding = pad;
        return add(n);
    }

    Network() {
        int a = relu(conv(-1, 3, 5, 3, 1, 1), 0.25f);
        int p = pool(LQF_MAX_POOL, a, 3, 2, 1);
        int c1 = conv(p, 5, 7, 3, 2, 1);
        relu(c1, 0.5f);  // dead
        int r1 = relu(c1, 0.1f);
        lqf_node shortcut = node(LQF_SUBSAMPLE, p);
        shortcut.stride = 2, shortcut.pad_before = 1, shortcut.pad_after = 1;
        int s = add(shortcut);
        int sum = add(node(LQF_ADD, r1, s));
        int twice = add(node(LQF_ADD, sum, c1));
        int t = relu(conv(relu(twice, 0.0f), 7, 7, 3, 1, 1), 0.2f);
        int main = conv(relu(conv(t, 7, 6, 3, 1, 1), 0.1f), 6, 6, 3, 1, 1), side = conv(t, 7, 6, 1, 1, 0);
        int block = relu(add(node(LQF_ADD, main, side)), 0.3f);
        int same = relu(add(node(LQF_ADD, conv(relu(conv(block, 6, 7, 3, 1, 1), 0.4f), 7, 6, 3, 1, 1), block)), 0.6f);
        int q = pool(LQF_AVG_POOL, conv(same, 6, 7, 1, 1, 0), 2, 2, 1);
        int g = add(node(LQF_GLOBAL_AVG_POOL, q));
        lqf_node linear = node(LQF_LINEAR, g);
        linear.out_channels = 4;
        add(linear, 7);
    }
};

constexpr int kImage = 3 * 9 * 7, kClasses = 4;

}  // namespace lqf::testing
#endif
