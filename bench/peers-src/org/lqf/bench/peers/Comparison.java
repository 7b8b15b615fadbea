package org.lqf.bench.peers;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lqf.bench.peers.LqfFactorsTask.Part;
import org.lqf.bench.peers.LqfTask.Verb;
import org.lqf.engine.Winograd;
import org.lqf.model.Backbone;
import org.lqf.model.Resnets;

/**
 * The same work on lqf and on its peers.
 *
 * @param what such as "jvp"
 * @param size network and batch, such as "resnet18/b8"
 * @param ours makes lqf's tasks by variant: "" is the default, "winograd4" and "kept" stand at the
 *     end of an entry's name
 * @param peers by name; settings of one peer stand behind a colon, such as "onnxruntime:spinning",
 *     and the fastest of them counts
 * @param tolerance relative difference of the results; a leaky ReLU whose input is at rounding
 *     distance from 0 may change side, which is seen in derivatives
 * @param quick part of a quick run
 * @param alone also measured with one thread
 */
record Comparison(
    String what,
    String size,
    Map<String, Maker> ours,
    Map<String, Maker> peers,
    double tolerance,
    boolean quick,
    boolean alone) {

  /** Makes a task. */
  @FunctionalInterface
  interface Maker {
    Task make(int threads) throws Exception;
  }

  private static final float SLOPE = 0.1f;

  String name() {
    return what + "/" + size;
  }

  static List<Comparison> all() {
    List<Comparison> all = new ArrayList<>();
    Backbone resnet18 = Resnets.imagenet(18, SLOPE, 100, 1);
    network(all, "resnet18/b8", resnet18, 8, true, true);
    network(all, "resnet20/b64", Resnets.cifar(20, SLOPE, 10, 1), 64, true, true);
    factors(all, "resnet18", resnet18, 8);
    network(all, "resnet18/b1", resnet18, 1, false, true);
    network(all, "resnet18/b32", resnet18, 32, false, false);
    return all;
  }

  private static void network(
      List<Comparison> all,
      String size,
      Backbone backbone,
      int batch,
      boolean quick,
      boolean alone) {
    for (Verb verb : new Verb[] {Verb.INFERENCE, Verb.JVP, Verb.VJP, Verb.STEP}) {
      Map<String, Maker> ours = makers("", lqf(backbone, batch, Winograd.F2, verb));
      ours.put("winograd4", lqf(backbone, batch, Winograd.F4, verb));
      Map<String, Maker> peers =
          makers("libtorch", torch(backbone, batch, verb, TorchNetwork.Style.BEST));
      if (verb == Verb.INFERENCE) {
        for (boolean spinning : new boolean[] {true, false}) {
          peers.put(
              "onnxruntime:" + (spinning ? "spinning" : "blocking"),
              threads -> new OnnxTask(Problem.of(backbone, batch), threads, spinning));
        }
      }
      if (verb == Verb.STEP) {
        ours.put("kept", lqf(backbone, batch, Winograd.F2, Verb.STEP_KEPT));
        ours.put("winograd4/kept", lqf(backbone, batch, Winograd.F4, Verb.STEP_KEPT));
        peers.put("libtorch-naive", torch(backbone, batch, verb, TorchNetwork.Style.NAIVE));
        peers.put("libtorch-kept", torch(backbone, batch, Verb.STEP_KEPT, TorchNetwork.Style.BEST));
      }
      String what =
          switch (verb) {
            case JVP -> "jvp";
            case VJP -> "vjp";
            case STEP -> "lqf-step";
            default -> "inference";
          };
      all.add(
          new Comparison(
              what,
              size,
              ours,
              peers,
              verb == Verb.INFERENCE ? 1e-5 : 3e-3,
              quick || (batch == 1 && verb == Verb.INFERENCE),
              alone || verb == Verb.INFERENCE));
    }
  }

  private static Maker lqf(Backbone backbone, int batch, Winograd winograd, Verb verb) {
    return threads -> new LqfTask(Problem.of(backbone, batch), threads, winograd, verb);
  }

  private static Maker torch(Backbone backbone, int batch, Verb verb, TorchNetwork.Style style) {
    return threads -> new TorchTask(Problem.of(backbone, batch), threads, verb, style);
  }

  private static void factors(List<Comparison> all, String size, Backbone backbone, int batch) {
    for (Part part : Part.values()) {
      String what =
          switch (part) {
            case ACCUMULATE -> "factors";
            case INVERT -> "inverse";
            case BOTH -> "factors-inverse";
          };
      Map<String, Maker> peers =
          makers(
              "libtorch:all BLAS threads",
              threads -> torchFactors(backbone, batch, threads, threads, part));
      peers.put(
          "libtorch:one BLAS thread", threads -> torchFactors(backbone, batch, threads, 1, part));
      all.add(
          new Comparison(
              what,
              size,
              makers("", threads -> new LqfFactorsTask(Problem.of(backbone, batch), threads, part)),
              peers,
              part == Part.INVERT ? 1e-3 : 1e-5,
              part == Part.BOTH,
              true));
    }
  }

  private static Task torchFactors(
      Backbone backbone, int batch, int threads, int blasThreads, Part part) {
    return new TorchFactorsTask(Problem.of(backbone, batch), threads, blasThreads, part);
  }

  /** Single calls at batch 1, for their quantiles. */
  static List<Comparison> latencies() {
    List<Comparison> all = new ArrayList<>();
    Map<String, Backbone> networks = new LinkedHashMap<>();
    networks.put("resnet18/b1", Resnets.imagenet(18, SLOPE, 100, 1));
    networks.put("resnet20/b1", Resnets.cifar(20, SLOPE, 10, 1));
    networks.forEach(
        (size, backbone) ->
            all.add(
                new Comparison(
                    "predict",
                    size,
                    makers("", lqf(backbone, 1, Winograd.F2, Verb.PREDICT)),
                    makers("libtorch", torch(backbone, 1, Verb.PREDICT, TorchNetwork.Style.BEST)),
                    1e-3,
                    true,
                    true)));
    return all;
  }

  private static Map<String, Maker> makers(String name, Maker maker) {
    Map<String, Maker> makers = new LinkedHashMap<>();
    makers.put(name, maker);
    return makers;
  }
}
