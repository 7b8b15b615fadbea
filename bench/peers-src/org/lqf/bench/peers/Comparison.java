package org.lqf.bench.peers;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.lqf.bench.peers.LqfFactorsTask.Part;
import org.lqf.bench.peers.LqfTask.Verb;
import org.lqf.model.Backbone;
import org.lqf.model.Resnets;

/**
 * The same work on lqf and on its peers.
 *
 * @param what such as "jvp"
 * @param size network and batch, such as "resnet18/b8"
 * @param ours makes lqf's task for a number of threads
 * @param peers by name; settings of one peer stand behind a colon, such as "onnxruntime:spinning",
 *     and the fastest of them counts
 * @param tolerance relative difference of the results; a leaky ReLU whose input is at rounding
 *     distance from 0 may change side, which is seen in derivatives
 * @param full left out of a quick run
 */
record Comparison(
    String what,
    String size,
    Maker ours,
    Map<String, Maker> peers,
    double tolerance,
    boolean full) {

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
    for (int batch : new int[] {1, 8, 32}) {
      network(all, "resnet18/b" + batch, resnet18, batch, batch != 8);
    }
    network(all, "resnet20/b64", Resnets.cifar(20, SLOPE, 10, 1), 64, false);
    factors(all, "resnet18/b8", resnet18, 8);
    return all;
  }

  private static void network(
      List<Comparison> all, String size, Backbone backbone, int batch, boolean full) {
    Map<String, Maker> forward =
        peers("libtorch", torch(backbone, batch, Verb.INFERENCE, TorchNetwork.Style.BEST));
    forward.put(
        "onnxruntime:spinning",
        threads -> new OnnxTask(Problem.of(backbone, batch), threads, true));
    forward.put(
        "onnxruntime:blocking",
        threads -> new OnnxTask(Problem.of(backbone, batch), threads, false));
    all.add(
        new Comparison(
            "inference",
            size,
            threads -> new LqfTask(Problem.of(backbone, batch), threads, Verb.INFERENCE),
            forward,
            1e-5,
            batch > 8 && full));
    for (Verb verb : new Verb[] {Verb.JVP, Verb.VJP, Verb.STEP, Verb.STEP_KEPT}) {
      Map<String, Maker> peers =
          peers("libtorch", torch(backbone, batch, verb, TorchNetwork.Style.BEST));
      if (verb == Verb.STEP) {
        peers.put("libtorch-naive", torch(backbone, batch, verb, TorchNetwork.Style.NAIVE));
      }
      String what =
          switch (verb) {
            case JVP -> "jvp";
            case VJP -> "vjp";
            case STEP -> "lqf-step";
            default -> "lqf-step-kept";
          };
      all.add(
          new Comparison(
              what,
              size,
              threads -> new LqfTask(Problem.of(backbone, batch), threads, verb),
              peers,
              3e-3,
              full));
    }
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
          peers(
              "libtorch:all BLAS threads",
              threads -> torchFactors(backbone, batch, threads, threads, part));
      peers.put(
          "libtorch:one BLAS thread", threads -> torchFactors(backbone, batch, threads, 1, part));
      all.add(
          new Comparison(
              what,
              size,
              threads -> new LqfFactorsTask(Problem.of(backbone, batch), threads, part),
              peers,
              part == Part.INVERT ? 1e-3 : 1e-5,
              part == Part.ACCUMULATE));
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
                    threads -> new LqfTask(Problem.of(backbone, 1), threads, Verb.PREDICT),
                    peers("libtorch", torch(backbone, 1, Verb.PREDICT, TorchNetwork.Style.BEST)),
                    1e-3,
                    false)));
    return all;
  }

  private static Map<String, Maker> peers(String name, Maker maker) {
    Map<String, Maker> peers = new LinkedHashMap<>();
    peers.put(name, maker);
    return peers;
  }
}
