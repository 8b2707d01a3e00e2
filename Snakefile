# EAD-Net and its benchmark. The workflow itself is workflow/Snakefile; README.md says how to run it, config/README.md how to use it from elsewhere.
# Not `include:`, which would leave its default target behind.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
