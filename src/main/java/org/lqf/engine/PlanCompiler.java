package org.lqf.engine;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfNode;
import org.lqf.binding.LqfPlan;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.LayerUnits;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/** Writes a {@link Backbone} as the {@code lqf_node} array of {@code lqf.h} and has it compiled. */
final class PlanCompiler {

  private PlanCompiler() {}

  static Plan compile(Engine engine, Backbone backbone, LayerUnits linearised, int maxBatch) {
    Map<String, Float> units = new LinkedHashMap<>(); // in node order
    for (ParameterBlock block : backbone.blocks()) {
      Float unit = linearised.byLayer().get(block.node());
      if (unit != null) {
        units.put(block.node(), unit);
      }
    }
    if (units.size() < linearised.layers().size()) {
      Set<String> unknown = new TreeSet<>(linearised.layers());
      unknown.removeAll(units.keySet());
      throw new IllegalArgumentException(
          "cannot linearise %s: no layer with parameters of \"%s\" has that name"
              .formatted(String.join(", ", unknown), backbone.name()));
    }
    List<Node> nodes = backbone.nodes();
    String names = nodes.stream().map(node -> node.name() + "\n").collect(Collectors.joining());
    Shape image = backbone.input().shape();
    LqfPlan plan = new LqfPlan();
    try (DeviceVector w0 = engine.vector(backbone.w0());
        LqfNode array = new LqfNode(nodes.size())) {
      write(backbone, units, array);
      Handle.call(
          () ->
              Lqf.lqf_plan_compile(
                  engine.pointer,
                  array,
                  nodes.size(),
                  names,
                  image.channels(),
                  image.height(),
                  image.width(),
                  w0.pointer,
                  maxBatch,
                  plan),
          engine,
          w0);
    }
    return new Plan(plan, backbone, new LayerUnits(units), maxBatch);
  }

  /** Fills array [nodes], and leaves it at its first element. */
  private static void write(Backbone backbone, Map<String, Float> units, LqfNode array) {
    Map<String, ParameterBlock> blocks = new HashMap<>();
    for (ParameterBlock block : backbone.blocks()) {
      blocks.put(block.node(), block);
    }
    List<String> names = backbone.nodes().stream().map(Node::name).toList();
    for (int i = 0; i < names.size(); i++) {
      Node node = backbone.nodes().get(i);
      List<String> inputs = node.inputs();
      LqfNode target = array.position(i);
      target.input0(names.indexOf(inputs.get(0))); // -1 is the image, as lqf.h has it
      target.input1(inputs.size() > 1 ? names.indexOf(inputs.get(1)) : -1);
      target.kernel_h(0).kernel_w(0).stride(0).padding(0);
      target.out_channels(0).pad_before(0).pad_after(0).slope(0).epsilon(0);
      Float unit = units.get(node.name());
      target.linearised(unit == null ? 0 : 1).unit(unit == null ? 1 : unit);
      ParameterBlock block = blocks.get(node.name());
      target.weight_offset(block == null ? 0 : block.weightOffset());
      target.bias_offset(block == null ? 0 : block.biasOffset());
      write(node.layer(), target);
    }
    array.position(0);
  }

  private static void write(Layer layer, LqfNode target) {
    if (layer instanceof Layer.Conv2d conv) {
      target.op(Lqf.LQF_CONV2D).out_channels(conv.outChannels());
      target.kernel_h(conv.kernelHeight()).kernel_w(conv.kernelWidth());
      target.stride(conv.stride()).padding(conv.padding());
    } else if (layer instanceof Layer.Linear linear) {
      target.op(Lqf.LQF_LINEAR).out_channels(linear.outFeatures());
    } else if (layer instanceof Layer.BatchNorm2d norm) {
      target.op(Lqf.LQF_BATCH_NORM).epsilon(norm.eps());
    } else if (layer instanceof Layer.LeakyRelu relu) {
      target.op(Lqf.LQF_LEAKY_RELU).slope(relu.slope());
    } else if (layer instanceof Layer.MaxPool2d pool) {
      target.op(Lqf.LQF_MAX_POOL).kernel_h(pool.kernel()).kernel_w(pool.kernel());
      target.stride(pool.stride()).padding(pool.padding());
    } else if (layer instanceof Layer.AvgPool2d pool) {
      target.op(Lqf.LQF_AVG_POOL).kernel_h(pool.kernel()).kernel_w(pool.kernel());
      target.stride(pool.stride()).padding(pool.padding());
    } else if (layer instanceof Layer.GlobalAvgPool) {
      target.op(Lqf.LQF_GLOBAL_AVG_POOL);
    } else if (layer instanceof Layer.Add) {
      target.op(Lqf.LQF_ADD);
    } else if (layer instanceof Layer.SubsamplePadChannels shortcut) {
      target.op(Lqf.LQF_SUBSAMPLE).stride(shortcut.stride());
      target.pad_before(shortcut.padBefore()).pad_after(shortcut.padAfter());
    } else {
      throw new AssertionError("layer without a native op: " + layer);
    }
  }
}
