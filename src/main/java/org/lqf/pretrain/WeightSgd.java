package org.lqf.pretrain;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.image.Augmentation;
import org.lqf.image.Batch;
import org.lqf.image.Batches;
import org.lqf.image.ImageDataset;
import org.lqf.model.TrainableNetwork;
import org.lqf.solve.Checkpoint;
import org.lqf.solve.Progress;
import org.lqf.tune.TrainingListener;

/**
 * Stochastic gradient descent with momentum on all weights of a network: ordinary training, where
 * every step moves the point at which the gradient is taken.
 *
 * <p>A step, as in PyTorch's {@code SGD}: g = ∇ mean loss + decay · w; v = m · v + g; w −= rate ·
 * (g + m · v) with Nesterov's look ahead, else rate · v. Batch norm takes the statistics of the
 * batch, and a tenth of them goes into the running ones.
 *
 * <p>{@link org.lqf.baseline.Descent} moves a displacement from pre-trained weights under a ridge,
 * batch norm folded; here there is nothing to stay near, and batch norm is trained.
 *
 * <p>Same seed, same bits, whatever the number of threads, interrupted or not.
 */
public final class WeightSgd {

  private static final double STATISTICS_MOMENTUM = 0.1; // PyTorch's

  private WeightSgd() {}

  /**
   * What came out.
   *
   * @param network where the training ended
   * @param trace one step for each epoch of this run: mean loss over its batches
   * @param steps of this run
   * @param seconds of this run
   */
  public record Trained(
      TrainableNetwork network, List<Progress.Step> trace, long steps, double seconds) {
    public Trained {
      trace = List.copyOf(trace);
    }
  }

  /**
   * Trains.
   *
   * @param engine stays the caller's
   * @param start the weights to begin with
   * @param images prepared for the network
   * @param checkpoint is offered the state after every epoch
   * @throws IllegalArgumentException if there are fewer images than a batch
   * @throws ArithmeticException if the loss is no number any more: the rate is too large
   */
  public static Trained train(
      Engine engine,
      TrainableNetwork start,
      ImageDataset images,
      Objective objective,
      SgdConfig config,
      TrainingListener listener,
      Checkpoint checkpoint)
      throws IOException {
    int perEpoch = images.size() / config.batch();
    if (perEpoch == 0) {
      throw new IllegalArgumentException(
          "a batch of %d needs as many images, there are %d; give a smaller --batch"
              .formatted(config.batch(), images.size()));
    }
    try (Plan plan = engine.compile(start.graph(), config.batch());
        DeviceVector parameters = engine.vector(start.graph().w0());
        DeviceVector statistics = engine.vector(start.statistics());
        DeviceVector velocity = engine.vector(parameters.length());
        Step step = new Step(engine, plan, objective, config, parameters, velocity, statistics)) {
      int begin = 0;
      Optional<Checkpoint.State> stored = checkpoint.restore();
      if (stored.isPresent()) {
        begin = stored.get().iteration();
        parameters.write(stored.get().vector("parameters"));
        velocity.write(stored.get().vector("velocity"));
        statistics.write(stored.get().vector("statistics"));
        plan.setParameters(parameters);
      }
      List<Progress.Step> trace = new ArrayList<>();
      long total = (long) perEpoch * config.epochs();
      long clock = System.nanoTime();
      for (int epoch = begin; epoch < config.epochs(); epoch++) {
        double losses = 0;
        int done = 0;
        try (Batches batches = batches(images, config, epoch)) {
          for (int i = 0; i < perEpoch; i++) {
            long number = (long) epoch * perEpoch + i;
            double rate = config.rate() * config.schedule().at(number, total);
            double loss = step.take(batches.next(), rate);
            if (!Double.isFinite(loss)) {
              throw new ArithmeticException(
                  "training diverged in epoch %d at learning rate %.3g; use a smaller one"
                      .formatted(epoch + 1, rate));
            }
            losses += loss;
            done += config.batch();
            listener.images(done, images.size());
          }
        }
        Progress.Step finished =
            new Progress.Step(
                epoch + 1, (epoch + 1.0) / config.epochs(), losses / done, Double.NaN);
        trace.add(finished);
        listener.step(finished);
        checkpoint.offer(
            () ->
                new Checkpoint.State(
                    finished.iteration(),
                    Map.of(),
                    Map.of(
                        "parameters", parameters.toArray(),
                        "velocity", velocity.toArray(),
                        "statistics", statistics.toArray())));
      }
      double seconds = (System.nanoTime() - clock) / 1e9;
      long steps = (long) perEpoch * (config.epochs() - begin);
      return new Trained(
          start.with(parameters.toArray(), statistics.toArray()), trace, steps, seconds);
    }
  }

  private static Batches batches(ImageDataset images, SgdConfig config, int epoch) {
    ImageDataset shown =
        config.augment()
            ? images.augmented(Augmentation.cropAndFlip(config.seed()), epoch)
            : images;
    return shown.batches(images.shuffled(config.seed(), epoch), config.batch(), config.readers());
  }

  /** One step and what it needs on the device. */
  private record Step(
      Plan plan,
      Objective objective,
      SgdConfig config,
      DeviceVector parameters,
      DeviceVector velocity,
      DeviceVector statistics,
      DeviceVector gradient,
      DeviceVector outputs,
      DeviceVector seen,
      float[] host,
      float[] cotangent)
      implements AutoCloseable {

    Step(
        Engine engine,
        Plan plan,
        Objective objective,
        SgdConfig config,
        DeviceVector parameters,
        DeviceVector velocity,
        DeviceVector statistics) {
      this(
          plan,
          objective,
          config,
          parameters,
          velocity,
          statistics,
          engine.vector(parameters.length()),
          engine.vector((long) config.batch() * plan.classes()),
          engine.vector(statistics.length()),
          new float[config.batch() * plan.classes()],
          new float[config.batch() * plan.classes()]);
    }

    /** The losses' sum before the step. */
    double take(Batch batch, double rate) {
      plan.forward(batch.images(), batch.n());
      plan.outputs(outputs);
      outputs.read(host);
      double losses = objective.cotangent(batch, host, cotangent);
      gradient.set(parameters).scale(config.weightDecay());
      plan.vjp(outputs.write(cotangent), gradient);
      velocity.scale(config.momentum()).add(1, gradient);
      if (config.nesterov()) {
        parameters.add(-rate, gradient).add(-rate * config.momentum(), velocity);
      } else {
        parameters.add(-rate, velocity);
      }
      if (seen.length() > 0) {
        plan.statistics(seen);
        statistics.scale(1 - STATISTICS_MOMENTUM).add(STATISTICS_MOMENTUM, seen);
      }
      plan.setParameters(parameters);
      return losses;
    }

    @Override
    public void close() {
      gradient.close();
      outputs.close();
      seen.close();
    }
  }
}
