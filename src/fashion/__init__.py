"""Keep an image classifier good in production: validated data, judged models, a registry, a service, a closed loop.

A map of the rooms. Each imports only from those below it; docs/architecture.md says which one to open for what change.

cli          the `fashion` command: options in, one function called, its result printed
doctor       `fashion doctor`: what around the project keeps it from working
serving      `fashion serve`: routes, page, limits, keys, and how a new champion takes over
pages        pages for people, one file each: the data explored, the report of a version, the state of everything
batch        a champion's answers for any number of pictures, into files: planned, answered shard by shard, gone on with
loop         a champion in use: monitoring, the page about a window, collecting labels, simulated traffic
experiments  trying recipes out: a search, the comparison of what it found with the recipe in use, the learning curve
intake       a user's own pictures become the dataset, with the parameters and suites that follow from them; and weights
             that a user brings become the backbone of a recipe
registry     from a trained model to a champion: registering, judging, promoting, approving, lineage, making a version
             again, and asking the champion
stages       what dvc.yaml runs (validate, prepare, train, evaluate, export), fetching before it, the files between
             them
adapters     one module or package a tool: MLflow, Great Expectations, Evidently, DVC, git, LiteRT, databases, plots,
             pages (Jinja2), the decoding of picture files, Dask
evaluation   core: metrics, intervals, gates, the rule of the judgement, drift scores, the alarm
images       core: IDX, descriptors, splits, augmentation, photos (a decoded picture in the dataset's form),
             corruptions, drawn images
model        core: the networks and their training
params       params.yaml: everything that changes a result, with its bounds

At the bottom stand single modules: `settings`, `environment` and `defaults` (variables), `paths` (names of
files and folders), `arrays` (the arrays that pass between rooms), `errors`, `reading` (files that may be missing or
damaged), `storage` (files written whole or not at all), `locks`, and some smaller ones. Prefect's flows, and the
processes that they need, are beside this package: `flows` and `flows.services`.
"""
