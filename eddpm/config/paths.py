"""Where the files of an experiment lie: patterns, which the rules use as they are and the package with `.format`."""

ASSETS = "resources/assets"  # fetched files
ASSET = ASSETS + "/{asset}"
RECORD = ASSET + ".sha256"
ASSET_CHECKSUMS = "resources/checksums.json"
DATA = "resources/datasets/{experiment}"
RESULTS = "results/{experiment}"

DATASET = DATA + "/dataset.json"
CHECKSUMS = RESULTS + "/checksums.json"  # of what the workflow has made
SETTINGS = RESULTS + "/{part}/settings.yaml"  # of every stage, by the parts of config/frozen.py

# Of a network; {kind} is denoisers or classifiers.
WEIGHTS = RESULTS + "/{kind}/{network}/model.safetensors"
NOISE_LEVELS = RESULTS + "/classifiers/{guide}/noise_levels.jsonl"

# Of a run.
RUN = RESULTS + "/runs/{run}"
RUN_SETTINGS = RUN + "/settings.yaml"
SAMPLES = RUN + "/samples/{shard}.npz"
FEATURES = RUN + "/features/{shard}.npz"
METRICS = RUN + "/metrics.json"
REPLICATES = RUN + "/replicates.csv"  # metrics of random halves of the images
TRACE = RUN + "/trace.csv"
GRID = RUN + "/grid.png"
EXPORTED = RUN + "/samples.npz"

REFERENCE = RESULTS + "/references/{space}.npz"
TABLE = RESULTS + "/tables/{table}"  # as csv, md, tex and html
FIGURE = RESULTS + "/figures/{figure}"  # as png and pdf

# Of a job: {job} is what its rule makes, such as RUN/SHARD.
LOG = "logs/{experiment}/{rule}/{job}.log"
BENCHMARK = "benchmarks/{experiment}/{rule}/{job}.tsv"
